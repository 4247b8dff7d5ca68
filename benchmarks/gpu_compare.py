"""Compare a network's results on a GPU with those on the CPU, and selected boxes with all, for `make gpu-evidence`."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case import BATCH_SIZE, Case
from benchmarks.inside import bare
from benchmarks.measure import cores, measured
from scripts.lib.boxes import Floats, Pixels
from scripts.lib.engines.background import BackgroundEngine
from scripts.lib.engines.base import Engine, Outputs
from scripts.lib.engines.described.engine import open_described
from scripts.lib.engines.onnxruntime.described_cuda import CudaRunner
from scripts.lib.engines.onnxruntime.devices import Device
from scripts.lib.engines.onnxruntime.engine import OnnxRuntimeEngine
from scripts.lib.engines.onnxruntime.gpu_feeding import GpuFeeding
from scripts.lib.engines.request import EngineRequest
from scripts.lib.engines.table import open_engine
from scripts.lib.graphs.feeding import Input, numbers
from scripts.lib.suppression import select

# Largest allowed differences, due to another order of summation: median and maximum for boxes in pixels, and maximum
# for scores; see tests/gpu. The boxes with the highest scores are compared.
_MEDIAN, _MOST, _SCORE = 0.002, 0.02, 0.0005
_COMPARED = 1000
# A box that is found in only one of two sessions may have a score above the threshold by this much.
_AT_THRESHOLD = 1e-4


class WrongResult(Exception):
    """A GPU's results are not those of the CPU; the message has the figures."""


def opened(case: Case, device: str, folder: Path, min_score: float | None = None) -> Engine:
    """Open a network as on a GPU, or with the same graphs on the CPU.

    Args:
        case: the network.
        device: `cuda`, or `cpu` to try the command out.
        folder: the folder of the engine files.
        min_score: see EngineRequest.
    """
    words: dict[str, Any] = {
        "size": case.size, "batch_size": BATCH_SIZE, "threads": cores(), "min_score": min_score,
    }  # fmt: skip
    graph, described = case.onnx or case.graph, case.description
    if device == "cuda":
        return open_engine(
            graph, engine="onnxruntime", device="cuda", description=described, names=case.names, engines=folder, **words
        )  # fmt: skip
    if described is None:
        return BackgroundEngine(OnnxRuntimeEngine(graph, **words))
    request = EngineRequest(
        graph=graph, precision="f32", engines=folder, nms=None, rows=None, description=described, names=case.names,
        **words,
    )  # fmt: skip
    runner = partial(CudaRunner, device=Device())
    return BackgroundEngine(
        open_described(request, described, engine="onnxruntime", make_runner=runner, device=Device())
    )  # fmt: skip


def compared_with_cpu(case: Case, engine: Engine, batches: Sequence[Pixels]) -> str:
    """Compare a network's boxes and scores on the GPU with those on the CPU.

    Raises:
        WrongResult: they differ by more than another order of summation explains.
    """
    with open_engine(
        case.onnx or case.graph, engine="onnxruntime", size=case.size, batch_size=BATCH_SIZE, threads=cores(),
        description=case.description, names=case.names,
    ) as other:  # fmt: skip
        expected = [tuple(map(np.copy, other.infer(batch))) for batch in batches]
    found = [tuple(map(np.copy, engine.infer(batch))) for batch in batches]
    boxes, scores = (np.concatenate(part) for part in zip(*found, strict=True))
    true_boxes, true_scores = (np.concatenate(part) for part in zip(*expected, strict=True))
    best = true_scores.max(axis=-1)
    kept = best >= np.sort(best, axis=None)[-min(_COMPARED, best.size)]
    moved = np.abs(boxes - true_boxes)[kept].max(axis=-1)
    median, most, score = float(np.median(moved)), float(moved.max()), float(np.abs(scores - true_scores).max())
    figures = f"boxes: median {median:.5f} px, most {most:.5f} px; scores: most {score:.6f}"
    # NaN is not within either.
    if not (median <= _MEDIAN and most <= _MOST and score <= _SCORE):
        raise WrongResult(f"{figures}; NOT within {_MEDIAN}, {_MOST} and {_SCORE}")
    return f"{figures}; within {_MEDIAN}, {_MOST} and {_SCORE}"


def compared_with_all(engine: Engine, top_k: Engine, batches: Sequence[Pixels], threshold: float) -> str:
    """Compare the boxes found in selected candidates with those found in all scores, and the speed of both.

    Raises:
        WrongResult: other boxes are found.
    """
    if "candidates" not in top_k.description:
        return "not measured: none are selected here"
    copied = 0
    found: list[Floats] = []
    every: list[Floats] = []
    for batch in batches:
        outputs = top_k.infer(batch)
        copied += outputs.boxes.nbytes + outputs.scores.nbytes
        found += _best_scores(outputs, top_k, threshold)
        every += _best_scores(engine.infer(batch), engine, threshold)
    apart = _apart(found, every, threshold)
    seconds = [measured(partial(bare, each, list(batches))).wall for each in (engine, top_k)]
    frames = len(batches) * BATCH_SIZE
    counts = f"{_boxes(found)} and {_boxes(every)} boxes"
    return (
        f"{counts}, scores at most {apart:.6f} apart; {copied / frames / 1000:.0f} kB a frame; "
        f"all scores {frames / seconds[0]:.0f}, candidates {frames / seconds[1]:.0f} frames/s"
    )


def score_of_rank(engine: Engine, batch: Pixels, rank: int | None) -> float:
    """Return the score of the box at a rank in a frame; None for the middle rank, beyond the selected boxes."""
    ranked = -np.sort(-engine.infer(batch).scores.max(axis=2), axis=1)
    return float(ranked[:, ranked.shape[1] // 2 if rank is None else rank].min())


def compared_in_full(engine: Engine, top_k: Engine, batch: Pixels, threshold: float) -> str:
    """Compare the boxes if more reach the threshold than are selected, so that all are copied.

    Raises:
        WrongResult: other boxes are found.
    """
    every = Outputs(*map(np.copy, engine.infer(batch)))
    outputs = top_k.infer(batch)
    one, its = (_best_scores(each, engine, threshold) for each in (outputs, every))
    figures = f"{outputs.boxes.shape[1]} of {every.boxes.shape[1]} boxes come back"
    try:
        _apart(one, its, threshold)
    except WrongResult as wrong:
        raise WrongResult(f"{figures}; NOT the same are found: {wrong}") from wrong
    return f"{figures}; the same are found"


def compared_feeding(case: Case, device: str, batch: Pixels, rounds: int) -> str:
    """Compare the conversion of frames to a network's input on host and GPU, with pinned and other memory."""
    if case.description is None:
        return "not measured: it has no description"
    pixels = case.description.pixels
    taken = Input("images", "float32", channels_last=False, batched=True, batch=None)
    seconds = []
    with GpuFeeding(pixels, taken, case.size, Device(device)) as feeding:
        for pinned in (False, True):
            feeding.feed(batch, is_reused=pinned)
            start = time.monotonic()
            for _ in range(rounds):
                feeding.feed(batch, is_reused=pinned)
            seconds.append(time.monotonic() - start)
    start = time.monotonic()
    numbers(batch, pixels, taken)
    host = time.monotonic() - start
    other, own = (1000 * one / rounds / BATCH_SIZE for one in seconds)
    return f"{1000 * host / BATCH_SIZE:.2f} ms a frame on the host; on the GPU {other:.3f}, of pinned memory {own:.3f}"


def _apart(found: Sequence[Floats], expected: Sequence[Floats], threshold: float) -> float:
    """Return the largest difference of the scores of boxes, each frame's in descending order.

    The sessions may sum in different orders, so a score at the threshold may reach it in only one of them.

    Raises:
        WrongResult: the scores differ by more, or other boxes are missing.
    """
    differences = [np.zeros(1, np.float32)]
    only_once = [np.full(1, threshold, np.float32)]
    for one, its in zip(found, expected, strict=True):
        both = min(len(one), len(its))
        differences.append(np.abs(one[:both] - its[:both]))
        only_once += [one[both:], its[both:]]
    counts, apart = f"{_boxes(found)} and {_boxes(expected)} boxes", float(np.concatenate(differences).max())
    if np.concatenate(only_once).max() - threshold > _AT_THRESHOLD:
        raise WrongResult(f"{counts}, NOT as many")
    if not apart <= _SCORE:
        raise WrongResult(f"{counts}, scores {apart:.6f} apart, NOT within {_SCORE}")
    return apart


def _boxes(scores: Sequence[Floats]) -> int:
    return sum(map(len, scores))


def _best_scores(outputs: Outputs, engine: Engine, threshold: float) -> list[Floats]:
    """Return the highest score of each box that is found, for each frame in descending order."""
    found = [select(boxes, scores, threshold, engine.nms) for boxes, scores in zip(*outputs, strict=True)]
    return [-np.sort(-each.scores.max(axis=1, initial=-np.inf)) for each in found]
