"""The sample network on a real GPU, on the frames of the sample clip."""

from pathlib import Path
from typing import Any

import numpy as np

from scripts.lib.boxes import Size
from scripts.lib.engines.base import Engine
from scripts.lib.engines.table import open_engine

SAMPLE = Path(__file__).parents[2] / "examples/aquarium"
SIZE, BATCH = Size(640, 480), 4
# Largest differences. f16: 1.5 times those of this network in float32 with each tensor rounded to half precision.
# f32: those of other orders of summation. In pixels the median and the maximum of boxes with scores of 0.3 or more; the
# maximum of all scores.
TOLERANCES = {"f16": (0.15, 2.0, 0.01), "f32": (0.002, 0.02, 0.0005)}


def opened(engine: str, folder: Path, **more: Any) -> Engine:
    return open_engine(
        folder / "graph.onnx", engine=engine, size=SIZE, batch_size=BATCH, threads=8, engines=folder, **more
    )


def outputs_of(engine: Engine, batches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all boxes and scores, with as many batches started at once as the engine allows."""
    boxes, scores = [], []

    def finish() -> None:
        found = engine.finish()
        boxes.append(found.boxes.copy())
        scores.append(found.scores.copy())

    for at, batch in enumerate(batches):
        if at >= engine.depth:
            finish()
        engine.start(batch)
    for _ in range(engine.depth):
        finish()
    return np.concatenate(boxes), np.concatenate(scores)


def assert_close(found: tuple[np.ndarray, np.ndarray], expected: tuple[np.ndarray, np.ndarray], precision: str) -> None:
    """Check that boxes and scores differ by no more than a precision explains."""
    kept = expected[1].max(axis=-1) >= 0.3
    moved = np.abs(found[0] - expected[0])[kept].max(axis=-1)
    median, most, score = TOLERANCES[precision]
    assert kept.sum() > 1000
    assert np.median(moved) <= median
    assert moved.max() <= most
    assert np.abs(found[1] - expected[1]).max() <= score
