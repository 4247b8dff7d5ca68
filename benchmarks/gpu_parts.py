"""A part of `make gpu-evidence`, which starts it in a process of its own: `python -m benchmarks.gpu_parts PART ...`.

Each figure is announced in the file of records before it is measured, so that the one that ends the process is known.
"""

import argparse
import json
import logging
import os
import pickle
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2

from benchmarks import nvdec
from benchmarks.case import THRESHOLD, Case, detr, resnet50, sample_network, yolo
from benchmarks.ceiling import CODECS, SIZES, CeilingExtent, measure_ceiling
from benchmarks.clips import repeat_clip, write_clip, write_coded_clip
from benchmarks.gpu_compare import (
    WrongResult,
    compared_feeding,
    compared_in_full,
    compared_with_all,
    compared_with_cpu,
    opened,
    score_of_rank,
)
from benchmarks.inside import fitted
from benchmarks.measure import cores, measured_process
from benchmarks.network import Shape
from scripts.lib.boxes import Pixels, Size
from scripts.lib.engines.base import Engine
from scripts.lib.engines.onnxruntime.devices import choose_device
from scripts.lib.errors import DeviceError
from scripts.lib.frames.nvdec import load_nvdec
from tests.workflow import ROOT

_CORES = (1, 4, 8)
_FOUND = 20  # boxes that reach the threshold in a frame, with random weights
_TINY = Shape((1, 1, 1, 1), 8, 16)
_OF_SAMPLE = 150  # frames
# Frames for each core, so that parts keep all cores busy and decoding takes seconds; and for one core alone, at most.
_FOR_A_CORE, _FOR_ONE_CORE = 150, 600


class Figure(NamedTuple):
    """What is measured, with which network or clip, how, and how many seconds it takes, probably."""

    what: str
    where: str
    measure: Callable[[], str]
    seconds: float


@dataclass(frozen=True)
class Parts:
    """The figures of each part.

    Attributes:
        folder: the folder for clips and results.
        device: `cuda`, or `cpu` to try the command out.
        quick: measure little, as a test; the figures mean nothing.
        made: folder with the sample's graph.onnx; None if there is none.
    """

    folder: Path
    device: str
    quick: bool
    made: Path | None

    def figures(self, part: str) -> Iterator[Figure]:
        """Yield the figures of a part; each has to be measured before the next one is prepared."""
        kind, *words = part.split()
        if kind == "machine":
            yield Figure("onnxruntime's device", "", self._chosen_device, 0)
        elif kind == "nvdec":
            yield from self._nvdec(*words)
        elif kind == "ceiling":
            yield from self._ceiling(*words)
        else:
            yield from self._network(kind)

    @property
    def _size(self) -> Size:
        return Size(160, 90) if self.quick else SIZES["720p"]

    def _chosen_device(self) -> str:
        import onnxruntime  # type: ignore[import-untyped]

        available = onnxruntime.get_available_providers()
        return f"{choose_device(self.device, available, os.environ).name}, of {', '.join(available)}"

    def _case(self, name: str) -> Case:
        shape = _TINY if self.quick else None
        if name == "sample":
            return sample_network(self.made / "graph.onnx" if self.made else None)
        if name == "yolo":
            return yolo(self.folder, shape, 128 if self.quick else 640)
        return {"resnet50": resnet50, "detr": detr}[name](self.folder, shape)

    def _clip(self, frames: int) -> Path:
        """Return a clip of at least this many frames, which the parts share."""
        once = self._written("once.mp4", lambda path: write_clip(path, self._size, 8 if self.quick else _OF_SAMPLE))
        turns = 1 if self.quick else -(-frames // _OF_SAMPLE)
        return self._written(f"{turns}.mp4", lambda path: repeat_clip(once, path, turns)) if turns > 1 else once

    def _written(self, name: str, write: Callable[[Path], Path]) -> Path:
        path = self.folder / name
        if not path.exists():
            write(self.folder / f"part-{name}").replace(path)
        return path

    def _network(self, name: str) -> Iterator[Figure]:
        """Compare a network's results and candidates, and the step on each number of cores with the engine alone."""
        case = self._case(name)
        batches, _ = fitted([self._clip(_OF_SAMPLE)], "video", case.size)
        with opened(case, self.device, self.folder) as engine:
            yield from self._compared(case, engine, batches)
        fewer = [count for count in _CORES if count < cores() and case.description is None and not self.quick]
        for count in [cores(), *fewer]:
            what = f"the step against its bare engine, {count} of {cores()} cores"
            yield Figure(what, case.name, partial(self._speed, case, count), 25)

    def _compared(self, case: Case, engine: Engine, batches: list[Pixels]) -> Iterator[Figure]:
        few = batches[: 2 if self.quick else 10]
        many = batches[: 2 if self.quick else 40]

        def selected() -> str:
            threshold = THRESHOLD if case.is_trained else score_of_rank(engine, few[0], _FOUND)
            with opened(case, self.device, self.folder, threshold) as top_k:
                return compared_with_all(engine, top_k, many, threshold)

        def in_full() -> str:
            threshold = score_of_rank(engine, few[0], None)
            with opened(case, self.device, self.folder, threshold) as top_k:
                return compared_in_full(engine, top_k, few[0], threshold)

        rounds = 2 if self.quick else 50
        figures: dict[str, Callable[[], str]] = {
            f"{self.device} against the CPU": lambda: compared_with_cpu(case, engine, few),
            "candidates picked on the GPU against all scores": selected,
            "more candidates than are picked against all scores": in_full,
        }
        if case.description is not None:
            figures["from bytes to numbers"] = lambda: compared_feeding(case, self.device, few[0], rounds)
        for what, measure in figures.items():
            yield Figure(what, case.name, measure, 15)

    def _speed(self, case: Case, count: int) -> str:
        """Compare the step with its engine in a plain loop, in a process that has this number of cores."""
        clip = self._clip(max(_FOR_ONE_CORE, _FOR_A_CORE * count))
        file = self.folder / "case.pickle"
        file.write_bytes(pickle.dumps(case))
        command = [sys.executable, "-m", "benchmarks.gpu_step_process", str(file), str(clip), str(self.folder / "step")]
        found = json.loads(
            measured_process([*command, str(count), self.device], directory=ROOT).output.splitlines()[-1]
        )
        return (
            f"{found['step']:.0f} of {found['bare']:.0f} frames/s, ratio {found['step'] / found['bare']:.2f}; "
            f"with {found['processes']} processes to read; opening the engine, {found['opening']:.1f} s, is left out"
        )

    def _nvdec(self, codec: str) -> Iterator[Figure]:
        """Compare NVDEC's frames of an intact and a damaged clip with the CPU's, and the speed of both."""
        what = "NVDEC's frames against the CPU's"
        try:
            library = load_nvdec("nvdec" if self.device == "cuda" else "cpu", os.environ)
        except DeviceError as error:
            reason = f"not measured: {error}"
            yield Figure(what, codec, lambda: reason, 0)
            return
        if library is None:
            yield Figure(what, codec, lambda: "not measured: the provider was forced off", 0)
            return
        clip = write_coded_clip(self.folder / f"nvdec-{codec}.mp4", self._size, 300, *CODECS[codec])
        yield Figure(what, codec, partial(nvdec.compared_with_cpu, clip, library), 20)
        content = bytearray(clip.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 300] = bytes(300)
        clip.write_bytes(content)
        damaged = f"{codec} with a hole of 300 bytes"
        yield Figure(what, damaged, partial(nvdec.compared_with_cpu, clip, library, is_damaged=True), 20)

    def _ceiling(self, codec: str, name: str) -> Iterator[Figure]:
        """Yield the figures of `ceiling` on all cores for a clip."""
        frames = 8 if self.quick else _FOR_A_CORE * cores()
        size = Size(160, 90) if self.quick else SIZES[name]
        extent = CeilingExtent(
            {name: size}, [codec], [cores()], frames, Size(640, 384), rounds=1, patience=0,
            on_one_core=min(frames, _FOR_ONE_CORE),
        )  # fmt: skip
        yield Figure("the host's ceiling", f"{codec} {name}", partial(_ceiling_of, self.folder, extent), 50)


def _ceiling_of(folder: Path, extent: CeilingExtent) -> str:
    [(_, figures)] = measure_ceiling(folder, extent)
    shown = ("step_fps", "of_decoding", "of_bare_loop", "of_pace", "against_one_core", "cpu_ms_beside_decoding")
    return ", ".join(f"{figure} {figures[figure]['median']:.2f}" for figure in shown if figure in figures)


class Recorder:
    """Measures figures and writes a record before and after each."""

    def __init__(self, path: Path, *, first: int, ends: float) -> None:
        """Store the arguments.

        Args:
            path: the file of records.
            first: the number of the first figure to measure; earlier ones are passed over.
            ends: time of the monotonic clock at which everything ends.
        """
        self._path, self._first, self._ends = path, first, ends

    def measure(self, part: str, figures: Iterator[Figure]) -> None:
        """Measure the figures; a failure is recorded, and further ones are measured."""
        number = 0
        while True:
            try:
                figure = next(figures, None)
            except Exception as error:  # any failure on an unknown machine
                self._write(number, "its preparation", part, _reported(error), failed=True)
                return
            if figure is None:
                return
            if number >= self._first:
                self._one(number, figure)
            number += 1

    def _one(self, number: int, figure: Figure) -> None:
        if time.monotonic() + figure.seconds > self._ends and figure.seconds:
            self._write(number, figure.what, figure.where, "no time left")
            return
        self._write(number, figure.what, figure.where)
        try:
            self._write(number, figure.what, figure.where, figure.measure())
        except WrongResult as wrong:
            self._write(number, figure.what, figure.where, f"WRONG: {wrong}", failed=True)
        except Exception as error:  # any failure on an unknown machine
            self._write(number, figure.what, figure.where, _reported(error), failed=True)

    def _write(self, number: int, what: str, where: str, figures: str | None = None, *, failed: bool = False) -> None:
        record = {"number": number, "what": what, "where": where}
        if figures is not None:
            record |= {"figures": " ".join(figures.replace("|", "/").split()), "failed": failed}
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")


def _reported(error: Exception) -> str:
    """Print the traceback, and return the beginning of the message."""
    traceback.print_exception(error)
    return f"FAILED: {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def main(words: Sequence[str] | None = None) -> None:
    """Measure a part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_parts", description=__doc__)
    parser.add_argument("part")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--device", choices=("cuda", "cpu"), required=True)
    parser.add_argument("--made", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--ends", type=float, required=True)
    parser.add_argument("--records", type=Path, required=True)
    args = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    cv2.setNumThreads(1)
    parts = Parts(args.folder, args.device, args.quick, args.made)
    Recorder(args.records, first=args.first, ends=args.ends).measure(args.part, parts.figures(args.part))


if __name__ == "__main__":
    main()
