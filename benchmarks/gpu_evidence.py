"""Measure everything that needs a machine with an NVIDIA GPU, in eight minutes: `make gpu-evidence`.

It needs no network access, and the packages av, numpy, onnx, onnxruntime-gpu, opencv-python-headless, PyYAML and
simplejpeg; NVDEC's figures also need PyNvVideoCodec. Each part runs in its own process, which is ended if it hangs; the
other figures are still measured, also after a crash. The page with the figures, the GPU's name, its driver and the
date is written after each figure, so that a run that is stopped leaves its results. The page also lists figures for
which there was no time.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

# Only modules of Python itself are imported here: a missing package is named first, and a crash ends a part only.
ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "evidence-gpu.md"
SECONDS = 480.0
# What is imported, and the package that has it.
PACKAGES = {
    "av": "av", "cv2": "opencv-python-headless", "numpy": "numpy", "onnx": "onnx", "onnxruntime": "onnxruntime-gpu",
    "simplejpeg": "simplejpeg", "yaml": "PyYAML",
}  # fmt: skip
_DISTRIBUTIONS = ("onnxruntime-gpu", "onnxruntime", "PyNvVideoCodec")
_POLL_SECONDS = 0.1
# A part in which figures hang or crash is not started more often than this.
_MOST_STARTS = 3


class Line(NamedTuple):
    """A line of the page: what is measured, with which network or clip, the figures, and whether it failed."""

    what: str
    where: str
    figures: str
    failed: bool = False


@dataclass(frozen=True)
class Part:
    """What a process measures.

    Attributes:
        name: name of the part in benchmarks.gpu_parts.
        seconds: how long it takes, probably; it is not started if less time is left.
        patience: seconds after which a process without a new figure is ended.
    """

    name: str
    seconds: float = 10.0
    patience: float = 100.0


MACHINE = Part("machine", 0.0, 60.0)
# What a GPU computes first, since the ceiling takes half of the time and is not of the GPU.
PARTS = (
    Part("resnet50"), Part("yolo"), Part("detr"), Part("nvdec h264"), Part("nvdec hevc"),
    Part("ceiling h264 720p", 40.0), Part("ceiling hevc 1080p", 60.0), Part("ceiling h264 1080p", 60.0),
    Part("ceiling hevc 720p", 40.0),
)  # fmt: skip

_QUICK = ("resnet50", "yolo", "detr", "nvdec h264", "ceiling h264 720p")


def missing_packages() -> list[str]:
    """Return the names of the packages that are needed and not installed."""
    return [package for module, package in PACKAGES.items() if importlib.util.find_spec(module) is None]


class Evidence:
    """Measures one part after another, as long as there is time.

    Attributes:
        failed: the number of figures that failed, or that are wrong.
    """

    def __init__(self, folder: Path, options: Sequence[str], *, ends: float) -> None:
        """Store the arguments.

        Args:
            folder: the folder for clips and results.
            options: options for benchmarks.gpu_parts.
            ends: time of the monotonic clock at which everything ends.
        """
        self._folder, self._options, self._ends = folder, options, ends
        self.failed = 0

    def lines(self, parts: Sequence[Part]) -> Iterator[Line]:
        """Yield the page's lines; nothing is measured on a machine that has not what is asked for."""
        for part in (MACHINE, *parts):
            for line in self._started(part):
                self.failed += line.failed
                yield line
            if part is MACHINE and self.failed:
                return

    def _started(self, part: Part) -> Iterator[Line]:
        """Measure a part, again from the next figure on if a figure ended its process."""
        first = 0
        for start in range(_MOST_STARTS):
            if part is not MACHINE and self._ends - time.monotonic() < part.seconds:
                yield Line("everything" if not start else "everything else", part.name, "no time left")
                return
            under_way: dict[str, Any] | None = None
            end = ""
            for found in self._process(part, first):
                if isinstance(found, str):
                    end = found
                elif "figures" in found:
                    under_way = None
                    yield Line(found["what"], found["where"], found["figures"], found["failed"])
                else:
                    under_way = found
            if not end:
                return
            if under_way is None:
                yield Line("everything else" if first else "its preparation", part.name, f"FAILED: {end}", failed=True)
                return
            yield Line(under_way["what"], under_way["where"], f"FAILED: {end}", failed=True)
            first = under_way["number"] + 1
        yield Line("everything else", part.name, f"left out: {_MOST_STARTS} of its figures failed")

    def _process(self, part: Part, first: int) -> Iterator[dict[str, Any] | str]:
        """Run a part's process from a figure on; yield its records and, if it did not end well, how it ended."""
        records = self._folder / "records"
        records.write_bytes(b"")
        command = self.command(part.name, "--first", str(first), "--ends", str(self._ends), "--records", str(records))
        with _own_group([*command, *self._options]) as process, records.open("rb") as stream:
            last = begun = time.monotonic()
            ended = False
            while True:
                ended = process.poll() is not None  # before the last look at the records
                for record in _new_records(stream):
                    last = time.monotonic()
                    yield record
                now = time.monotonic()
                if ended:
                    break
                if now - last > part.patience or (now > self._ends and part is not MACHINE):
                    why = "when the time was up" if now - last <= part.patience else "which is too long"
                    yield f"not done after {now - (begun if last == begun else last):.0f} s, {why}"
                    return
                time.sleep(_POLL_SECONDS)
        if code := process.returncode:
            name = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            yield f"its process ended with {name}"

    def command(self, *words: str) -> list[str]:
        """Return the command of a part's process."""
        return [sys.executable, "-m", "benchmarks.gpu_parts", *words, "--folder", str(self._folder)]


@contextmanager
def _own_group(command: Sequence[str]) -> "Iterator[subprocess.Popen[bytes]]":
    """Start a process in a group of its own, and end the whole group with the block."""
    # What libraries print goes to the errors.
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # a driver may keep a process that is ended
            process.wait(10)


def _new_records(stream: Any) -> Iterator[dict[str, Any]]:
    """Yield the records, one a line, that were written since the last call."""
    while line := stream.readline():
        if not line.endswith(b"\n"):
            stream.seek(-len(line), os.SEEK_CUR)
            return
        yield json.loads(line)


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
    installed = []
    for name in _DISTRIBUTIONS:
        with suppress(importlib.metadata.PackageNotFoundError):
            installed.append(f"{name} {importlib.metadata.version(name)}")
    forced = "" if device == "cuda" else " **The provider was forced off: these figures say nothing of a GPU.**"
    return (
        "# Evidence: on a GPU\n\n"
        f"Written by `make gpu-evidence` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.{forced}\n\n"
        f"Card, driver and compute capability: {card()}; {len(os.sched_getaffinity(0))} cores; "
        f"{', '.join(installed)}.\n\n"
        "TensorRT is not measured: its libraries are not on PyPI; use `make test-gpu` where they are.\n\n"
        "| what | with | figures |\n|---|---|---|\n"
    )


def _write(page: Path, text: str) -> None:
    """Write the page, complete or not at all."""
    part = page.with_name(f"{page.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(page)


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
    if missing := missing_packages():
        sys.exit(f"{', '.join(missing)} cannot be imported by {sys.executable}; expected these packages: install them")
    for number in (signal.SIGTERM, signal.SIGHUP):  # so that the part's process ends too
        if signal.getsignal(number) is not signal.SIG_IGN:  # as after nohup
            signal.signal(number, lambda *_: sys.exit("ended by a signal"))
    parts = tuple(part for part in PARTS if part.name in _QUICK) if args.quick else PARTS
    options = ["--device", args.device, *(["--quick"] if args.quick else [])]
    if args.made:
        parts = (Part("sample"), *parts)
        options += ["--made", str(args.made.resolve())]
    text = head(args.device)
    with tempfile.TemporaryDirectory(prefix="gpu-evidence-") as name:
        evidence = Evidence(Path(name), options, ends=begun + args.seconds)
        for line in evidence.lines(parts):
            text += f"| {line.what} | {line.where} | {line.figures} |\n"
            sys.stdout.write(f"{time.monotonic() - begun:5.0f} s  {line.what}: {line.where}: {line.figures}\n")
            sys.stdout.flush()
            _write(args.page, text)
    _write(args.page, f"{text}\nIt took {time.monotonic() - begun:.0f} s.\n")
    if evidence.failed:
        sys.exit(f"{evidence.failed} of these failed or are wrong; the errors are above, and in {args.page}")


if __name__ == "__main__":
    main()
