"""TensorFlow's boxes and scores, computed in its environment, and the graph that the workflow converts.

.venv-convert/bin/python -m tests.oracle GRAPH.pb FRAMES.npy FOLDER
"""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.lib.boxes import Size

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "examples" / "aquarium"
# Every second frame of the video, to keep TensorFlow's share of the tests small.
SIZE = Size(320, 240)


class Oracle(NamedTuple):
    """TensorFlow's results for frames.

    Attributes:
        folder: folder of graph.onnx and record.json.
        frames: frames, (N, height, width, 3) BGR bytes.
        boxes: boxes, (N, A, 4).
        scores: scores, (N, A, C).
    """

    folder: Path
    frames: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray


def real_frames() -> np.ndarray:
    """Return 80 frames of a real video: every second one of the sample, and five of them mirrored."""
    from scripts.lib.frames.reader import open_frames
    from scripts.lib.preprocessing.preprocess import fit

    with open_frames(SAMPLE / "aquarium.mp4", "video") as video:
        pictures = [picture for number, picture in video if number % 2 == 0]
    pictures += [np.ascontiguousarray(picture[:, ::-1]) for picture in pictures[::15]]
    frames = np.empty((len(pictures), SIZE.height, SIZE.width, 3), np.uint8)
    for picture, frame in zip(pictures, frames, strict=True):
        fit(picture, frame)
    return frames


def ask(graph: Path, frames: np.ndarray, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Convert a graph into `folder` and return TensorFlow's boxes (N, A, 4) and scores (N, A, C) of frames.

    Args:
        graph: the frozen graph.
        frames: frames in the network's size, (N, height, width, 3) BGR bytes.
        folder: folder for graph.onnx and record.json.
    """
    np.save(folder / "frames.npy", frames)
    from tests.needs import convert_python  # not at the top: the environment of conversion has no pytest

    command = [convert_python(), "-m", "tests.oracle", graph, folder / "frames.npy", folder]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    with np.load(folder / "oracle.npz") as found:
        return found["boxes"], found["scores"]


def main(graph: Path, frames: Path, folder: Path) -> None:
    """Convert a graph, and write TensorFlow's results for frames."""
    import tensorflow as tf

    from scripts.convert_network import convert_network, run_tensorflow
    from scripts.lib.graphs.layouts import LAYOUTS

    batch = np.load(frames)
    convert_network(
        graph=graph,
        onnx=folder / "graph.onnx",
        record=folder / "record.json",
        img_max_side=batch.shape[2],
        img_min_side=batch.shape[1],
        threads=2,
    )
    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(graph.read_bytes())
    boxes, scores = run_tensorflow(definition, LAYOUTS[0], batch)
    np.savez(folder / "oracle.npz", boxes=boxes, scores=scores)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
