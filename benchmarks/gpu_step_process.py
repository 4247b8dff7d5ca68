"""One job of `make gpu-evidence` on a GPU: `python -m benchmarks.gpu_step_process CASE CLIP FOLDER CORES DEVICE`.

The step opens its engine itself, after it has forked the processes that read. The engine is then run alone. CASE is a
pickled Case. Writes a JSON object: frames per second of the step, without opening the engine, and of the engine alone;
the seconds to open the engine; the number of processes.
"""

import json
import os
import pickle
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import cv2

from benchmarks.case import BATCH_SIZE, Case, step_arguments
from benchmarks.inside import bare, fitted
from scripts import detect as step
from scripts.lib.detection import media_job, network
from scripts.lib.detection.media_detection import detect_in
from scripts.lib.engines.base import Engine
from scripts.lib.engines.table import open_engine
from scripts.lib.files import read_json
from scripts.lib.workflow.jobs import job

_BATCHES = 600 // BATCH_SIZE  # of the engine alone, at most


class Opening:
    """Opens an engine in the step, which does not close it.

    Attributes:
        engine: the engine.
        seconds: how long it took to open it.
    """

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.seconds = 0.0

    def __call__(self, *words: Any, **named: Any) -> Engine:
        """Open the engine that the step asks for."""
        started = time.monotonic()
        self.engine = open_engine(*words, **named)
        self.seconds = time.monotonic() - started
        self.close, self.engine.close = self.engine.close, lambda: None  # type: ignore[method-assign]
        return self.engine


def main(file: str, clip: str, folder: str, cores: str, device: str) -> None:
    """Run the step, then its engine alone, and print both paces."""
    case: Case = pickle.loads(Path(file).read_bytes())
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
    cv2.setNumThreads(1)
    settings: dict[str, Any] = {"graph": case.onnx or case.graph, "engine": "onnxruntime", "device": device}
    arguments = job.bind(step.detect, step_arguments(case, Path(clip), Path(folder), int(cores), **settings))
    opening = Opening()
    processes: list[int] = []

    def counted(*words: Any) -> None:
        processes.append(words[-1])
        detect_in(*words)

    started = time.monotonic()
    with (
        mock.patch.object(network, "open_engine", opening),
        mock.patch.object(media_job, "detect_in", counted),
        # If the command is only tried out: as on a GPU, which leaves the cores to the decoders.
        mock.patch.object(media_job, "runs_on_gpu", return_value=True),
    ):
        step.detect(**arguments)
    seconds = time.monotonic() - started - opening.seconds
    record = read_json(Path(folder) / "outcome.json")
    if record["state"] not in ("done", "no detections") or opening.engine is None:
        raise RuntimeError(f"the step ended as {record['state']}: {record['reason']}")
    engine, frames = opening.engine, int(record["frames"]["used"])
    batches, _ = fitted([Path(clip)], "video", case.size, most=_BATCHES)
    bare(engine, batches[:2])
    alone = time.monotonic()
    bare(engine, batches)
    alone = time.monotonic() - alone
    opening.close()
    result = {
        "step": frames / seconds,
        "bare": len(batches) * BATCH_SIZE / alone,
        "opening": opening.seconds,
        "processes": max(processes, default=0),
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
