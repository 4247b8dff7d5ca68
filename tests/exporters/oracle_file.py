"""The file in which a package's own prediction is kept, and the measuring of its loop."""

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
# Of either side: threads that wait for each other would be measured on a busy machine.
THREADS = 1
# Of a network that is compared without suppression.
MOST_BOXES = 10_000


class Rates(NamedTuple):
    """Frames in a second, and in a second of processor time, which hangs less on what else the machine does."""

    elapsed: float
    processor: float


def limit_threads() -> None:
    """Have onnxruntime and OpenVINO take no more threads than PyTorch, and OpenVINO compute in f32.

    On a processor that has bfloat16, OpenVINO takes it unless told otherwise: faster, and boxes are pixels off.
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


def write(
    folder: Path,
    names: int,
    predict: Callable[[np.ndarray], Found],
    threshold: float = THRESHOLD,
) -> None:
    """Write the names and what the package's own prediction finds, then measure it whenever a line comes in.

    Args:
        folder: to write, which is called as the network is.
        names: how many classes there are.
        predict: finds boxes in a picture.
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
