"""Measure everything that needs a machine with an NVIDIA GPU, in eight minutes: `make gpu-evidence`.

It needs the packages av, numpy, onnx, onnxruntime-gpu, opencv-python-headless, PyYAML and simplejpeg, and no network
access. The page with the figures, the GPU's name, its driver and the date is written after each figure, so that a run
that is stopped leaves its results. The page also lists figures for which there was no time.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from unittest import mock

import cv2

from benchmarks import nvdec
from benchmarks.case import BATCH_SIZE, THRESHOLD, Case, detr, resnet50, sample_network, step_arguments, yolo
from benchmarks.ceiling import CODECS, CeilingExtent, measure_ceiling
from benchmarks.clips import repeat_clip, write_clip, write_coded_clip
from benchmarks.gpu_compare import (
    compared_feeding,
    compared_in_full,
    compared_with_all,
    compared_with_cpu,
    opened,
    score_of_rank,
)
from benchmarks.inside import bare, fitted
from benchmarks.measure import Usage, cores, in_turns, measured, spread
from benchmarks.network import Shape
from scripts import detect as step
from scripts.lib.boxes import Pixels, Size
from scripts.lib.detection import network
from scripts.lib.engines.base import Engine
from scripts.lib.errors import DeviceError
from scripts.lib.files import read_json, write_bytes
from scripts.lib.frames.nvdec import load_nvdec
from scripts.lib.workflow.jobs import job
from tests.workflow import ROOT

PAGE = ROOT / "docs" / "evidence-gpu.md"
SECONDS = 480.0
_CORES = (1, 2, 4, 8, 16)
_FOUND = 20  # boxes that reach the threshold in a frame, with random weights
_TINY = Shape((1, 1, 1, 1), 8, 16)

Line = tuple[str, str, str]  # what is measured, with which network or clip, figures


class Evidence:
    """Measures one figure after another, as long as there is time.

    Attributes:
        failed: the number of figures that failed.
    """

    def __init__(self, folder: Path, device: str, cases: Sequence[Case], *, quick: bool, ends: float) -> None:
        """Store the arguments.

        Args:
            folder: the folder for clips and results.
            device: `cuda`, or `cpu` to try the command out.
            cases: the networks.
            quick: measure little, as a test; the figures mean nothing.
            ends: time of the monotonic clock after which no measurement starts.
        """
        self._folder, self._device, self._cases, self._quick, self._ends = folder, device, cases, quick, ends
        self.failed = 0

    def lines(self) -> Iterator[Line]:
        """Yield the page's lines; a network is closed before the next one is opened."""
        size = Size(160, 90) if self._quick else Size(1280, 720)
        once = write_clip(self._folder / "once.mp4", size, 8 if self._quick else 150)
        clip = repeat_clip(once, self._folder / "clip.mp4", 1 if self._quick else 4)
        yield "TensorRT", "", "not measured: its libraries are not on PyPI; `make test-gpu` where they are"
        for case in self._cases:
            with opened(case, self._device, self._folder) as engine:
                batches, frames = fitted([once], "video", case.size)
                yield from self._compared(case, engine, batches)
                repeated = batches * max(1, (24 if self._quick else 600) // frames)
                counts = [count for count in _CORES if count < cores() and case.description is None]
                for count in [*counts, cores()]:
                    what = f"the step against its bare engine, {count} of {cores()} cores"
                    yield self._line(what, case.name, partial(self._speed, case, engine, clip, repeated, count))
        # Last, since a decoder that hangs or crashes would prevent later figures.
        yield from self._ceiling()
        yield from self._nvdec(size)

    def _line(self, what: str, where: str, measure: Callable[[], str]) -> Line:
        """Return a line of the page; a failure is written into the line, and further lines are measured."""
        if time.monotonic() > self._ends:
            return what, where, "no time left"
        try:
            return what, where, measure()
        except Exception as error:  # any failure on an unknown machine
            self.failed += 1
            traceback.print_exc()
            return (
                what,
                where,
                f"FAILED: {type(error).__name__}: {' '.join(str(error).replace('|', '/').split())[:300]}",
            )

    def _nvdec(self, size: Size) -> Iterator[Line]:
        """Compare NVDEC's frames of intact and damaged clips with the CPU's, and the speed of both."""
        what = "NVDEC's frames against the CPU's"
        try:
            library = load_nvdec("nvdec" if self._device == "cuda" else "cpu", os.environ)
        except DeviceError as error:
            yield what, "", f"not measured: {error}"
            return
        if library is None:
            yield what, "", "not measured: there is no GPU"
            return
        for codec, encoder in CODECS.items():
            clip = write_coded_clip(self._folder / f"nvdec-{codec}.mp4", size, 300, *encoder)
            yield self._line(what, codec, partial(nvdec.compared_with_cpu, clip, library))
            content = bytearray(clip.read_bytes())
            content[len(content) // 2 : len(content) // 2 + 300] = bytes(300)
            clip.write_bytes(content)
            damaged = f"{codec} with a hole of 300 bytes"
            yield self._line(what, damaged, partial(nvdec.compared_with_cpu, clip, library))

    def _compared(self, case: Case, engine: Engine, batches: list[Pixels]) -> Iterator[Line]:
        """Compare a network's results on the GPU with the CPU's, and selected candidates with all anchors."""
        few = batches[: 2 if self._quick else 10]
        many = batches[: 2 if self._quick else 40]

        def selected() -> str:
            threshold = THRESHOLD if case.is_trained else score_of_rank(engine, few[0], _FOUND)
            with opened(case, self._device, self._folder, threshold) as top_k:
                return compared_with_all(engine, top_k, many, threshold)

        def in_full() -> str:
            threshold = score_of_rank(engine, few[0], None)
            with opened(case, self._device, self._folder, threshold) as top_k:
                return compared_in_full(engine, top_k, few[0], threshold)

        rounds = 2 if self._quick else 50
        figures: dict[str, Callable[[], str]] = {
            f"{self._device} against the CPU": lambda: compared_with_cpu(case, engine, few),
            "candidates picked on the GPU against all scores": selected,
            "more candidates than are picked against all scores": in_full,
        }
        if case.description is not None:
            figures["from bytes to numbers"] = lambda: compared_feeding(case, self._device, few[0], rounds)
        for what, measure in figures.items():
            yield self._line(what, case.name, measure)

    def _speed(self, case: Case, engine: Engine, clip: Path, batches: list[Pixels], count: int) -> str:
        """Compare the step with its engine in a plain loop, on the given number of cores."""
        arguments = job.bind(step.detect, step_arguments(case, clip, self._folder / "step", count))
        frames = len(batches) * BATCH_SIZE

        def whole() -> None:
            with mock.patch.object(network, "open_engine", return_value=engine), mock.patch.object(engine, "close"):
                step.detect(**arguments)

        allowed = os.sched_getaffinity(0)
        _allow(sorted(allowed)[:count])
        try:
            actions = [partial(measured, whole), partial(measured, partial(bare, engine, batches))]
            if count == 1 and not self._quick:
                _warm(actions)
            found = in_turns(actions, 1 if self._quick else 2, 0)
        finally:
            _allow(allowed)
        used = _frames_used(self._folder / "step")
        paces = [(used / whole.wall, frames / engine_alone.wall) for whole, engine_alone in found]
        ratio = spread([whole / alone for whole, alone in paces])["median"]
        return f"{paces[0][0]:.0f} of {paces[0][1]:.0f} frames/s, ratio {ratio:.2f}"

    def _ceiling(self) -> Iterator[Line]:
        """Yield the figures of `ceiling` on all cores for each clip."""
        sizes = {"720p": Size(160, 90)} if self._quick else {"720p": Size(1280, 720), "1080p": Size(1920, 1080)}
        for name, size in sizes.items():
            for codec in ["h264"] if self._quick else CODECS:
                frames = 8 if self._quick else 150 * cores()  # so that decoding takes seconds with any number of cores
                extent = CeilingExtent({name: size}, [codec], [cores()], frames, Size(640, 384), rounds=1, patience=0)
                yield self._line("the host's ceiling", f"{codec} {name}", partial(_ceiling_of, self._folder, extent))


def _ceiling_of(folder: Path, extent: CeilingExtent) -> str:
    [(_, figures)] = measure_ceiling(folder, extent)
    shown = ("step_fps", "of_decoding", "of_bare_loop", "of_pace", "cpu_ms_beside_decoding")
    return ", ".join(f"{figure} {figures[figure]['median']:.2f}" for figure in shown)


def _allow(some: Iterable[int]) -> None:
    """Restrict all threads of this process, and those that they start, to some cores."""
    for thread in Path("/proc/self/task").iterdir():
        with suppress(ProcessLookupError):  # the thread has ended
            os.sched_setaffinity(int(thread.name), some)


def _warm(actions: Sequence[partial[Usage]]) -> None:
    for action in actions:
        action()


def _frames_used(folder: Path) -> int:
    record = read_json(folder / "outcome.json")
    if record["state"] not in ("done", "no detections"):
        raise RuntimeError(f"the step ended as {record['state']}: {record['reason']}")
    return int(record["frames"]["used"])


def card() -> str:
    """Return the GPU's name, driver and compute capability, from nvidia-smi."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        return f"none (nvidia-smi: {error})"
    return done.stdout.strip()


def head(device: str) -> str:
    """Return the beginning of the page."""
    import onnxruntime  # type: ignore[import-untyped]

    forced = "" if device == "cuda" else " **The provider was forced off: these figures say nothing of a GPU.**"
    return (
        "# Evidence: on a GPU\n\n"
        f"Written by `make gpu-evidence` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.{forced}\n\n"
        f"Card, driver and compute capability: {card()}; {cores()} cores; onnxruntime {onnxruntime.__version__} with "
        f"{', '.join(onnxruntime.get_available_providers())}.\n\n"
        "| what | with | figures |\n|---|---|---|\n"
    )


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_evidence", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: try the command out")
    parser.add_argument("--made", type=Path, help="folder with the sample's graph.onnx (default: leave it out)")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--quick", action="store_true", help="measure little, as a test; the figures mean nothing")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="seconds after which to stop")
    args = parser.parse_args(words)
    begun = time.monotonic()
    cv2.setNumThreads(1)
    text = head(args.device)
    with tempfile.TemporaryDirectory(prefix="gpu-evidence-") as name:
        folder = Path(name)
        cases = [
            resnet50(folder, _TINY if args.quick else None),
            yolo(folder, _TINY if args.quick else None, 128 if args.quick else 640),
            detr(folder, _TINY if args.quick else None),
        ]
        if args.made:
            cases.insert(0, sample_network(args.made / "graph.onnx"))
        # The last measurement takes at most a minute.
        ends = begun + args.seconds - min(75.0, args.seconds / 4)
        evidence = Evidence(folder, args.device, cases, quick=args.quick, ends=ends)
        for what, where, figures in evidence.lines():
            text += f"| {what} | {where} | {figures} |\n"
            print(f"{time.monotonic() - begun:5.0f} s  {what}: {where}: {figures}", flush=True)
            write_bytes(args.page, text.encode())
    write_bytes(args.page, f"{text}\nIt took {time.monotonic() - begun:.0f} s.\n".encode())
    if evidence.failed:
        sys.exit(f"{evidence.failed} of these failed; the errors are above, and in {args.page}")


if __name__ == "__main__":
    main()
