"""Measure within one process: the speed of the step relative to its engine, and the time of its stages."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np

from benchmarks.case import BATCH_SIZE, THRESHOLD, Case, step_arguments
from benchmarks.measure import Usage, cores, in_turns, measured, quiet, spread
from scripts import detect as step
from scripts.lib import suppression
from scripts.lib.boxes import Pixels, Size, on_media
from scripts.lib.detection import network
from scripts.lib.detections import DetectionWriter
from scripts.lib.engines.base import Engine
from scripts.lib.engines.table import open_engine
from scripts.lib.frame_result import FrameResult
from scripts.lib.frames.reader import open_frames
from scripts.lib.preprocessing import preprocess
from scripts.lib.records import Kind
from scripts.lib.workflow.jobs import job


def measure_limit(case: Case, clip: Path, folder: Path, rounds: int, patience: int) -> dict[str, Any]:
    """Compare the step with its engine in a plain loop on frames in memory.

    The engine is opened before both; the section `start` measures the time to open it.
    """
    with open_case(case) as engine:
        batches, frames = fitted([clip], "video", case.size)
        arguments = job.bind(step.detect, step_arguments(case, clip, folder, cores()))

        def run_step() -> None:
            with (
                mock.patch.object(network, "open_engine", return_value=engine),
                mock.patch.object(engine, "close"),
            ):
                step.detect(**arguments)

        actions: list[Callable[[], None]] = [run_step, lambda: bare(engine, batches), lambda: decode(clip)]
        for action in actions:
            action()
        found = in_turns([_timed(action) for action in actions], rounds, patience)
    return {
        "ratio": spread([bare.wall / whole.wall for whole, bare, _ in found]),
        "cpu_ratio": spread([bare.cpu / whole.cpu for whole, bare, _ in found]),
        "decode_bound": spread([bare.cpu / (bare.cpu + decode.cpu) for _, bare, decode in found]),
        "frames": frames,
        "rounds": len(found),
        "quiet_rounds": sum(map(quiet, found)),
    }


def measure_stages(case: Case, clip: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """Return the processor time of a frame in each stage of the step, in ms; the stages are measured separately."""
    cv2.setNumThreads(1)  # as in the step
    found = defaultdict(list)
    with open_case(case) as engine:
        batches, frames = fitted([clip], "video", case.size)
        for _ in range(rounds):
            for name, seconds in _stages(engine, clip, batches, folder / "stages.csv"):
                found[name].append(seconds / frames * 1000)
    return {f"{name}_cpu_ms": spread(values) for name, values in found.items()}


def _stages(engine: Engine, clip: Path, batches: list[Pixels], csv: Path) -> Iterator[tuple[str, float]]:
    started = time.process_time()
    decode(clip)
    yield "decode", time.process_time() - started
    out, fitting, media = np.empty_like(batches[0][0]), 0.0, Size(0, 0)
    with open_frames(clip, "video") as source:
        for _, picture in source:
            started = time.process_time()
            preprocess.fit(picture, out)
            fitting += time.process_time() - started
        media = Size(source.summary.width, source.summary.height)
    yield "preprocess", fitting
    started = time.process_time()
    bare(engine, batches)
    yield "engine", time.process_time() - started
    choosing = writing = 0.0
    with csv.open("w", encoding="utf-8") as stream:
        writer = DetectionWriter(stream, "1_clip")
        for batch in batches:
            outputs = engine.infer(batch)
            for index in range(len(batch)):
                started = time.process_time()
                kept = suppression.select(outputs.boxes[index], outputs.scores[index], THRESHOLD, engine.nms)
                boxes = on_media(kept.boxes, network=engine.size, frame=media, media=media)
                chosen = time.process_time()
                found = boxes, kept.labels, kept.scores
                writer.write([FrameResult(index, (index,), batch[index], media, *found)])
                choosing, writing = choosing + chosen - started, writing + time.process_time() - chosen
    yield "postprocess", choosing
    yield "write", writing


def open_case(case: Case) -> Engine:
    """Open a network as the step does, on all cores."""
    return open_engine(case.graph, engine="openvino", size=case.size, batch_size=BATCH_SIZE, threads=cores())


def fitted(files: Sequence[Path], kind: Kind, size: Size, most: int | None = None) -> tuple[list[Pixels], int]:
    """Return frames as batches for the network, the last one padded with black, and the number of frames.

    Args:
        files: the media.
        kind: their kind.
        size: the size of the network's input.
        most: the number of batches, at most; None for all frames.
    """
    batches: list[Pixels] = []
    count = 0
    for file in files:
        with open_frames(file, kind) as source:
            for _, picture in source:
                if count % BATCH_SIZE == 0:
                    if len(batches) == most:
                        return batches, count
                    batches.append(np.zeros((BATCH_SIZE, size.height, size.width, 3), np.uint8))
                preprocess.fit(picture, batches[-1][count % BATCH_SIZE])
                count += 1
    return batches, count


def bare(engine: Engine, batches: list[Pixels]) -> None:
    """Run batches through an engine, as many at the same time as it accepts."""
    for index, batch in enumerate(batches):
        if index >= engine.depth:
            engine.finish()
        engine.start(batch)
    for _ in range(min(engine.depth, len(batches))):
        engine.finish()


def decode(*clips: Path) -> None:
    """Decode clips and discard the frames."""
    for clip in clips:
        with open_frames(clip, "video") as source:
            for _ in source:
                pass


def _timed(action: Callable[[], object]) -> Callable[[], Usage]:
    return lambda: measured(action)
