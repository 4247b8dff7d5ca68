"""Write the file with a package's own predictions, and measure its loop."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.exporters.families import NETWORKS

# Boxes, scores and labels of one picture.
Found = tuple[np.ndarray, np.ndarray, np.ndarray]
THRESHOLD = 0.3
READY, RATE = "the oracle is written", "frames a second, and a second of processor time:"
_SECONDS = 1.0
# For both sides: with more threads, their waiting for each other would be measured on a busy machine.
THREADS = 1
# For networks that are compared without suppression.
MOST_BOXES = 10_000


class Rates(NamedTuple):
    """Frames per second, and per second of processor time, which depends less on other load of the machine."""

    elapsed: float
    processor: float


def limit_threads() -> None:
    """Limit onnxruntime and OpenVINO to the number of PyTorch's threads, and let OpenVINO compute in f32.

    On a processor with bfloat16, OpenVINO uses it by default, which is faster and moves boxes by pixels.
    """
    import onnxruntime
    import openvino

    class Core(openvino.Core):
        def compile_model(self, model: Any, device_name: str = "CPU", config: Any = None) -> Any:
            fixed = {"INFERENCE_NUM_THREADS": THREADS, "INFERENCE_PRECISION_HINT": "f32"}
            return super().compile_model(model, "CPU", {**(config or {}), **fixed})

    openvino.Core = Core

    class Options(onnxruntime.SessionOptions):
        def __init__(self) -> None:
            super().__init__()
            self.intra_op_num_threads = THREADS

    onnxruntime.SessionOptions = Options

    class Session(onnxruntime.InferenceSession):
        def __init__(self, model: Any, sess_options: Any = None, *arguments: Any, **named: Any) -> None:
            # Without options, as of Ultralytics, it would use all cores.
            super().__init__(model, sess_options or Options(), *arguments, **named)

    onnxruntime.InferenceSession = Session


def write(
    folder: Path,
    names: int,
    predict: Callable[[np.ndarray], Found],
    threshold: float = THRESHOLD,
) -> None:
    """Write the names and the package's own predictions, then print its rate for each line of input.

    Args:
        folder: the folder to write; its name is that of the network.
        names: the number of classes.
        predict: a function that detects boxes in a picture.
        threshold: the least score of a box.
    """
    given = NETWORKS[folder.name].pictures
    if not any((folder / name).exists() for name in ("config.json", "metadata.yaml")):
        (folder / "names.txt").write_text("".join(f"class {number}\n" for number in range(names)))
    found = {}
    for at, picture in enumerate(given):
        for kind, values in zip(("boxes", "scores", "labels"), predict(picture), strict=True):
            found[f"{kind}_{at}"] = np.asarray(values)
    np.savez(folder / "oracle.npz", threshold=threshold, **found)
    sys.stdout.write(f"\n{READY}\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        started, spent, count = time.perf_counter(), time.process_time(), 0
        while not count or time.perf_counter() - started < _SECONDS:
            predict(given[0])
            count += 1
        rates = Rates(count / (time.perf_counter() - started), count / (time.process_time() - spent))
        sys.stdout.write(f"\n{RATE} {rates.elapsed} {rates.processor}\n")
        sys.stdout.flush()
