"""All that is to be measured on a machine with an NVIDIA GPU, in eight minutes: `make gpu-evidence`.

Needs no network access; of packages av, numpy, onnx, onnxruntime-gpu, opencv-python-headless, PyYAML and simplejpeg.
Writes a page with the figures, the card's name, its driver and the date, anew after each of them, so that a run that is
ended leaves what it has. What there was no time for is said too.
"""

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from unittest import mock

import cv2
import numpy as np

from benchmarks.case import BATCH_SIZE, THRESHOLD, Case, resnet50, sample_network, step_arguments
from benchmarks.ceiling import CODECS, CeilingExtent, measure_ceiling
from benchmarks.clips import repeat_clip, write_clip, write_coded_clip
from benchmarks.inside import bare, fitted
from benchmarks.measure import Usage, cores, in_turns, measured, spread
from benchmarks.network import Shape
from benchmarks.nvdec import compared_with_cpu
from scripts import detect as step
from scripts.lib.boxes import Floats, Pixels, Size
from scripts.lib.detection import network
from scripts.lib.engines.base import Engine, Outputs
from scripts.lib.engines.table import open_engine
from scripts.lib.errors import DeviceError
from scripts.lib.files import read_json, write_bytes
from scripts.lib.frames.nvdec import load_nvdec
from scripts.lib.suppression import select
from scripts.lib.workflow import job
from tests.workflow import ROOT

PAGE = ROOT / "docs" / "evidence-gpu.md"
SECONDS = 480.0
_CORES = (1, 2, 4, 8, 16)
# Other orders of summation: in pixels the median of boxes and the most, and the most of any score; see tests/gpu. Boxes
# count that score this much in the sample network, whose weights are trained; of random ones as many as score highest.
_MEDIAN, _MOST, _SCORE = 0.002, 0.02, 0.0005
_COMPARED = 1000
_TINY = Shape((1, 1, 1, 1), 8, 16)

Line = tuple[str, str, str]  # what, with what, figures


class Evidence:
    """Measures one thing after another, as long as there is time."""

    def __init__(self, folder: Path, device: str, cases: Sequence[Case], *, quick: bool, ends: float) -> None:
        """Prepare.

        Args:
            folder: for clips and results.
            device: `cuda`; or `cpu`, to try the command out.
            cases: the networks.
            quick: measure little, without meaning.
            ends: on the monotonic clock, when to begin nothing more.
        """
        self._folder, self._device, self._cases, self._quick, self._ends = folder, device, cases, quick, ends

    def lines(self) -> Iterator[Line]:
        """Yield the page's lines; a network is closed before the next one is opened."""
        size = Size(160, 90) if self._quick else Size(1280, 720)
        once = write_clip(self._folder / "once.mp4", size, 8 if self._quick else 150)
        clip = repeat_clip(once, self._folder / "clip.mp4", 1 if self._quick else 4)
        yield from self._nvdec(size)
        yield "TensorRT", "", "not measured: its libraries are not on PyPI; `make test-gpu` where they are"
        for case in self._cases:
            with self._opened(case, self._device) as engine:
                batches, frames = fitted([once], "video", case.size)
                yield self._compared(case, engine, batches)
                yield self._picked(case, engine, batches)
                for count in [count for count in _CORES if count < cores()] + [cores()]:
                    yield self._speed(case, engine, clip, batches * max(1, 600 // frames), count)
        yield from self._ceiling()

    def _nvdec(self, size: Size) -> Iterator[Line]:
        """Compare NVDEC's frames with the CPU's, sound and damaged, and the pace of both."""
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
            yield what, codec, compared_with_cpu(clip, library)
            content = bytearray(clip.read_bytes())
            content[len(content) // 2 : len(content) // 2 + 300] = bytes(300)
            clip.write_bytes(content)
            yield what, f"{codec} with a hole of 300 bytes", compared_with_cpu(clip, library)

    def _late(self) -> bool:
        return time.monotonic() > self._ends

    @staticmethod
    def _opened(case: Case, device: str, least_score: float | None = None) -> Engine:
        return open_engine(
            case.onnx or case.graph, engine="onnxruntime", size=case.size, batch_size=BATCH_SIZE, threads=cores(),
            device=device, least_score=least_score,
        )  # fmt: skip

    def _compared(self, case: Case, engine: Engine, batches: list[Pixels]) -> Line:
        """Compare a network's boxes and scores on the GPU with those on the CPU."""
        what = f"{self._device} against the CPU"
        if self._late():
            return what, case.name, "no time left"
        some = batches[: 2 if self._quick else 10]
        with self._opened(case, "cpu") as other:
            expected = [tuple(map(np.copy, other.infer(batch))) for batch in some]
        found = [tuple(map(np.copy, engine.infer(batch))) for batch in some]
        boxes, scores = (np.concatenate(part) for part in zip(*found, strict=True))
        true_boxes, true_scores = (np.concatenate(part) for part in zip(*expected, strict=True))
        best = true_scores.max(axis=-1)
        kept = best >= np.sort(best, axis=None)[-min(_COMPARED, best.size)]
        moved = np.abs(boxes - true_boxes)[kept].max(axis=-1)
        median, most, score = float(np.median(moved)), float(moved.max()), float(np.abs(scores - true_scores).max())
        held = median <= _MEDIAN and most <= _MOST and score <= _SCORE
        return (
            what,
            case.name,
            f"boxes: median {median:.5f} px, most {most:.5f} px; scores: most {score:.6f}; "
            f"{'within' if held else 'NOT within'} {_MEDIAN}, {_MOST} and {_SCORE}",
        )

    def _picked(self, case: Case, engine: Engine, batches: list[Pixels]) -> Line:
        """Compare the boxes found in picked candidates with those found in all scores, and the pace of both."""
        what = "candidates picked on the GPU against all scores"
        if self._late():
            return what, case.name, "no time left"
        some = batches[: 2 if self._quick else 40]
        with self._opened(case, self._device, THRESHOLD) as other:
            if "candidates" not in other.description:
                return what, case.name, "not measured: none are picked here"
            copied, found, every = 0, [], []
            for batch in some:
                outputs = other.infer(batch)
                copied += outputs.boxes.nbytes + outputs.scores.nbytes
                found.append(_best_scores(outputs, other))
                every.append(_best_scores(engine.infer(batch), engine))
            seconds = [measured(partial(bare, each, some)).wall for each in (engine, other)]
        one, its = np.concatenate(found), np.concatenate(every)
        # Another session may sum in another order, so a score at the threshold may be there in one alone.
        same = f"scores at most {np.abs(one - its).max(initial=0):.6f} apart" if len(one) == len(its) else "NOT as many"
        frames = len(some) * BATCH_SIZE
        return (
            what,
            case.name,
            f"{len(one)} and {len(its)} boxes, {same}; {copied / frames / 1000:.0f} kB a frame; "
            f"all scores {frames / seconds[0]:.0f}, candidates {frames / seconds[1]:.0f} frames/s",
        )

    def _speed(self, case: Case, engine: Engine, clip: Path, batches: list[Pixels], count: int) -> Line:
        """Compare the step with its engine in a bare loop, on so many cores."""
        what = f"the step against its bare engine, {count} of {cores()} cores"
        if self._late():
            return what, case.name, "no time left"
        arguments = job.bind(step.detect, step_arguments(case, clip, self._folder / "step", count))
        frames = len(batches) * BATCH_SIZE

        def whole() -> None:
            with mock.patch.object(network, "open_engine", return_value=engine), mock.patch.object(engine, "close"):
                step.detect(**arguments)

        allowed = os.sched_getaffinity(0)
        os.sched_setaffinity(0, sorted(allowed)[:count])  # of this thread, and of those that it starts
        try:
            actions = [partial(measured, whole), partial(measured, partial(bare, engine, batches))]
            if count == 1 and not self._quick:
                _warm(actions)
            found = in_turns(actions, 1 if self._quick else 2, 0)
        finally:
            os.sched_setaffinity(0, allowed)
        given = _frames_used(self._folder / "step")
        paces = [(given / whole.wall, frames / engine_alone.wall) for whole, engine_alone in found]
        ratio = spread([whole / alone for whole, alone in paces])["median"]
        return what, case.name, f"{paces[0][0]:.0f} of {paces[0][1]:.0f} frames/s, ratio {ratio:.2f}"

    def _ceiling(self) -> Iterator[Line]:
        """Yield what the host allows on all cores; the clips are made one after another."""
        sizes = {"720p": Size(160, 90)} if self._quick else {"720p": Size(1280, 720), "1080p": Size(1920, 1080)}
        for name, size in sizes.items():
            for codec in ["h264"] if self._quick else CODECS:
                if self._late():
                    yield "the host's ceiling", f"{codec} {name}", "no time left"
                    continue
                extent = CeilingExtent(
                    {name: size}, [codec], [cores()], 8 if self._quick else 300, Size(640, 384), rounds=1, patience=0
                )
                for label, figures in measure_ceiling(self._folder, extent):
                    words = ", ".join(
                        f"{figure} {figures[figure]['median']:.2f}"
                        for figure in ("step_fps", "of_decoding", "of_bare_loop", "of_pace", "cpu_ms_beside_decoding")
                    )
                    yield "the host's ceiling", label, words


def _best_scores(outputs: Outputs, engine: Engine) -> Floats:
    """Return the score of each box that is found, of frame after frame, highest first."""
    found = [select(boxes, scores, THRESHOLD, engine.nms) for boxes, scores in zip(*outputs, strict=True)]
    return np.concatenate([-np.sort(-each.scores.max(axis=1, initial=-np.inf)) for each in found])


def _warm(actions: Sequence[partial[Usage]]) -> None:
    for action in actions:
        action()


def _frames_used(folder: Path) -> int:
    record = read_json(folder / "outcome.json")
    if record["state"] not in ("done", "no detections"):
        raise RuntimeError(f"the step ended as {record['state']}: {record['reason']}")
    return int(record["frames"]["used"])


def card() -> str:
    """Return the GPU's name, driver and compute capability, as the driver says them."""
    asked = ["nvidia-smi", "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        return f"none (nvidia-smi: {error})"
    return done.stdout.strip()


def head(device: str) -> str:
    """Return the page's beginning."""
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
    parser.add_argument("--made", type=Path, help="a folder with the sample network as graph.onnx; else it is left out")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--quick", action="store_true", help="try everything out, without meaning")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="after which all is to be over")
    args = parser.parse_args(words)
    begun = time.monotonic()
    cv2.setNumThreads(1)
    text = head(args.device)
    with tempfile.TemporaryDirectory(prefix="gpu-evidence-") as name:
        folder = Path(name)
        cases = [resnet50(folder, _TINY if args.quick else None)]
        if args.made:
            cases.insert(0, sample_network(args.made / "graph.onnx"))
        # What is under way when the time is over takes a minute at most.
        ends = begun + args.seconds - min(75.0, args.seconds / 4)
        for what, where, figures in Evidence(folder, args.device, cases, quick=args.quick, ends=ends).lines():
            text += f"| {what} | {where} | {figures} |\n"
            print(f"{time.monotonic() - begun:5.0f} s  {what}: {where}: {figures}", flush=True)
            write_bytes(args.page, text.encode())
    write_bytes(args.page, f"{text}\nIt took {time.monotonic() - begun:.0f} s.\n".encode())


if __name__ == "__main__":
    main()
