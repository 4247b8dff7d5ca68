"""Write the weights of the first network's frozen graph as NumPy arrays; needs TensorFlow (.venv-convert)."""

import argparse
from pathlib import Path

import numpy as np
import tensorflow as tf


def main(graph: Path, out: Path) -> None:
    """Write each kernel and bias by its name in the graph."""
    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(graph.read_bytes())
    values = {node.name: node.attr["value"].tensor for node in definition.node if node.op == "Const"}
    np.savez(
        out, **{name: tf.make_ndarray(value) for name, value in values.items() if name.endswith(("/kernel", "/bias"))}
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("graph", type=Path, help="examples/aquarium/graph.pb")
    parser.add_argument("out", type=Path, help="the .npz file to write")
    options = parser.parse_args()
    main(options.graph, options.out)
