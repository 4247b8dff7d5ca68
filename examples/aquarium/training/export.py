"""Write the trained network as ONNX, with the weights of its convolutions in bytes: a quarter of the size."""

import argparse
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from examples.aquarium.training.network import fcos
from examples.aquarium.training.train import SIZE

SOURCE = (
    "Trained on the Aquarium data set (raw-1024) by Roboflow, https://public.roboflow.com/object-detection/aquarium, "
    "CC BY 4.0. Weights: MIT."
)


def main() -> None:
    """Read the arguments and export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="the weights that train.py wrote")
    parser.add_argument("out", type=Path, help="the ONNX file to write")
    options = parser.parse_args()
    network = fcos(*SIZE).eval()
    network.load_state_dict({name: torch.from_numpy(value) for name, value in np.load(options.weights).items()})
    network.transform.resize = lambda picture, target: (picture, target)  # pictures already have the network's size
    torch.onnx.export(
        network, ([torch.rand(3, *SIZE)],), str(options.out), dynamo=False, opset_version=18,
        input_names=["picture"], output_names=["boxes", "scores", "labels"],
    )  # fmt: skip
    model = onnx.load(options.out)
    store_in_bytes(model)
    model.doc_string = SOURCE
    onnx.checker.check_model(model)
    onnx.save(model, options.out)
    print(f"{options.out}: {options.out.stat().st_size:,} bytes")


def store_in_bytes(model: onnx.ModelProto) -> None:
    """Store each convolution's kernel as int8, with a scale for each output channel; it is computed in float32."""
    kept = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    made = []
    for tensor in [each for each in model.graph.initializer if each.name in kept]:
        kernel = numpy_helper.to_array(tensor)
        scale = np.maximum(np.abs(kernel).max((1, 2, 3)), 1e-12) / 127
        rounded = np.round(kernel / scale[:, None, None, None]).astype(np.int8)
        model.graph.initializer.remove(tensor)
        model.graph.initializer.extend(
            [
                numpy_helper.from_array(rounded, f"{tensor.name}.bytes"),
                numpy_helper.from_array(scale.astype(np.float32), f"{tensor.name}.scale"),
            ]
        )
        inputs = [f"{tensor.name}.bytes", f"{tensor.name}.scale"]
        made.append(helper.make_node("DequantizeLinear", inputs, [tensor.name], axis=0))
    nodes = [*made, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


if __name__ == "__main__":
    main()
