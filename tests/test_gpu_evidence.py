"""`make gpu-evidence`, tried out without a GPU: what is measured, and parts that hang, crash or fail."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gpu_compare, gpu_evidence, gpu_parts
from benchmarks.gpu_compare import WrongResult, compared_with_cpu
from benchmarks.gpu_evidence import MACHINE, Evidence, Line, Part
from benchmarks.gpu_parts import Figure, Recorder
from scripts.lib.engines.base import Outputs
from scripts.lib.graphs.nms_settings import from_text
from tests.onnx_graph import write_onnx
from tests.workflow import ROOT

pytestmark = pytest.mark.networks

PICKED = "candidates picked on the GPU against all scores"


def evidence_of_a_gpu(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks.gpu_evidence", "--quick", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.timeout(300)
def test_the_evidence_of_a_gpu_is_measured_with_the_provider_forced_off(tmp_path: Path) -> None:
    write_onnx(tmp_path / "graph.onnx", classes=7)
    page = tmp_path / "page.md"
    done = evidence_of_a_gpu("--device", "cpu", "--made", str(tmp_path), "--page", str(page))
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert "**The provider was forced off: these figures say nothing of a GPU.**" in text
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")][2:]
    found = {(row[0], row[1]): row[2] for row in rows if row[1]}
    for name in ("sample", "resnet50", "yolo", "detr"):
        assert found["cpu against the CPU", name].startswith("boxes: median 0.00000 px, most 0.00000 px")
        speeds = [figures for (what, where), figures in found.items() if "bare engine" in what and where == name]
        assert speeds
        assert all(float(re.findall(r"ratio ([0-9.]+);", figures)[0]) > 0 for figures in speeds)
        picked = re.match(r"(\d+) and (\d+) boxes, scores at most 0.000000 apart", found[PICKED, name])
        assert picked is not None
        assert picked[1] == picked[2] != "0"
        assert found["more candidates than are picked against all scores", name].endswith("the same are found")
    assert "of pinned memory" in found["from bytes to numbers", "yolo"]
    assert "FAILED" not in text
    assert "of_pace" in found["the host's ceiling", "h264 720p"]
    assert "the provider was forced off" in found["NVDEC's frames against the CPU's", "h264"]
    assert "It took " in text


def test_parts_for_which_there_is_no_time_are_listed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    done = evidence_of_a_gpu("--device", "cpu", "--page", str(page), "--seconds", "0")
    assert done.returncode == 0, done.stderr
    rows = [line for line in page.read_text().splitlines() if "no time left" in line]
    assert len(rows) >= 3


def test_nothing_is_measured_without_the_gpu_that_is_asked_for(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    done = evidence_of_a_gpu("--page", str(page))
    assert done.returncode == 1
    text = page.read_text()
    assert "FAILED: DeviceError: detect.device: cuda: no NVIDIA GPU is here" in text
    assert "resnet50" not in text


def test_all_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpu_evidence, "PACKAGES", {"no_yaml": "PyYAML", "numpy": "numpy", "no_jpeg": "simplejpeg"})
    with pytest.raises(SystemExit, match=r"^PyYAML, simplejpeg cannot be imported by"):
        gpu_evidence.main(["--page", str(tmp_path / "page.md")])


class Scripted(Evidence):
    """Runs parts whose processes execute a script with the functions `record` and `figure`, and `first`."""

    scripts: dict[str, str]

    def command(self, *words: str) -> list[str]:
        named = dict(zip(words[1::2], words[2::2], strict=True))
        begin = (
            "import json, os, signal, subprocess, sys, time\n"
            f"first, stream = {named['--first']}, open({named['--records']!r}, 'a', buffering=1)\n"
            "def record(**words): print(json.dumps(words), file=stream)\n"
            "def figure(number, then=lambda: None):\n"
            "    if number >= first:\n"
            "        record(number=number, what=f'figure {number}', where='a')\n"
            "        then()\n"
            "        record(number=number, what=f'figure {number}', where='a', figures='well', failed=False)\n"
        )
        return [sys.executable, "-c", begin + self.scripts.get(words[0], "")]


def scripted(folder: Path, script: str, *, patience: float = 60, seconds: float = 60) -> tuple[list[Line], int]:
    evidence = Scripted(folder, [], ends=time.monotonic() + seconds)
    evidence.scripts = {"a": script, "b": "figure(0)"}
    return list(evidence.lines([Part("a", 0, patience), Part("b", 0)])), evidence.failed


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("lambda: os.kill(os.getpid(), signal.SIGSEGV)", "its process ended with signal SIGSEGV"),
        ("lambda: os._exit(3)", "its process ended with exit code 3"),
        ("lambda: time.sleep(600)", "not done after [1-9][0-9]* s, which is too long"),
    ],
)
def test_after_a_crash_or_a_hang_the_other_figures_are_measured(tmp_path: Path, end: str, reason: str) -> None:
    patience = 1.5 if "sleep" in end else 60
    lines, failed = scripted(tmp_path, f"figure(0)\nfigure(1, {end})\nfigure(2)", patience=patience)
    assert [line.what for line in lines] == ["figure 0", "figure 1", "figure 2", "figure 0"]
    assert [line.figures for line in lines if not line.failed] == ["well"] * 3
    assert re.fullmatch(f"FAILED: {reason}", lines[1].figures)
    assert failed == 1


def test_a_part_whose_figures_fail_again_and_again_is_left(tmp_path: Path) -> None:
    lines, failed = scripted(tmp_path, "for number in range(9): figure(number, lambda: os._exit(3))")
    assert lines[3] == Line("everything else", "a", "left out: 3 of its figures failed")
    assert (len(lines), failed) == (5, 3)


def test_a_crash_in_the_preparation_is_a_line(tmp_path: Path) -> None:
    lines, failed = scripted(tmp_path, "os._exit(3)")
    assert lines[0] == Line("its preparation", "a", "FAILED: its process ended with exit code 3", failed=True)
    assert (len(lines), failed) == (2, 1)


def test_everything_ends_in_time_with_all_its_processes(tmp_path: Path) -> None:
    script = f"child = subprocess.Popen(['sleep', '600'])\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
    begun = time.monotonic()
    lines, failed = scripted(tmp_path, f"{script}figure(0, lambda: time.sleep(600))", seconds=2)
    assert time.monotonic() - begun < 20
    assert lines[0].figures.startswith("FAILED: not done after")
    assert "when the time was up" in lines[0].figures
    assert failed == 1
    pid = int((tmp_path / "pid").read_text())
    wait_for_end(lambda: is_running(pid))


def wait_for_end(is_still_running: Callable[[], bool]) -> None:
    """Wait for a process that was killed, as it ends a moment later."""
    deadline = time.monotonic() + 20
    while is_still_running():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def recorded(folder: Path, figures: Iterator[Figure], **words: float) -> list[tuple[str, bool]]:
    path = folder / "records"
    Recorder(path, **({"first": 0, "ends": time.monotonic() + 60} | words)).measure("part", figures)  # type: ignore[arg-type]
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [(one["figures"], one["failed"]) for one in records if "figures" in one]


def test_failures_and_wrong_results_are_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> str:
        raise RuntimeError("CUDNN_STATUS_EXECUTION_FAILED |\n again")

    def is_wrong() -> str:
        raise WrongResult("boxes: NOT within 0.002")

    def figures() -> Iterator[Figure]:
        for measure in (fails, is_wrong, lambda: "well"):
            yield Figure("what", "where", measure, 1)
        yield Figure("long", "where", fails, 1000)
        raise ValueError("no network")

    assert recorded(tmp_path, figures()) == [
        ("FAILED: RuntimeError: CUDNN_STATUS_EXECUTION_FAILED / again", True),
        ("WRONG: boxes: NOT within 0.002", True),
        ("well", False),
        ("no time left", False),
        ("FAILED: ValueError: no network", True),
    ]
    assert "Traceback" in capsys.readouterr().err


def test_a_network_that_cannot_be_opened_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object) -> None:
        raise RuntimeError("CUDA failure 2: out of memory")

    monkeypatch.setattr(gpu_parts, "opened", opened)
    parts = gpu_parts.Parts(tmp_path, "cpu", quick=True, made=None)
    assert recorded(tmp_path, parts.figures("yolo")) == [("FAILED: RuntimeError: CUDA failure 2: out of memory", True)]


@pytest.mark.parametrize("apart", [1.0, np.nan])
def test_other_boxes_than_the_cpus_are_a_wrong_result(monkeypatch: pytest.MonkeyPatch, apart: float) -> None:
    class Fake:
        def __init__(self, offset: float) -> None:
            self.offset = np.float32(offset)

        def infer(self, batch: np.ndarray) -> Outputs:
            return Outputs(np.ones((1, 2, 4), np.float32) + self.offset, np.ones((1, 2, 3), np.float32))

        def __enter__(self) -> "Fake":
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(gpu_compare, "open_engine", lambda *_, **__: Fake(0))
    case = gpu_parts.sample_network(None)
    batches = [np.zeros((1, 4, 4, 3), np.uint8)]
    assert "; within" in compared_with_cpu(case, Fake(0), batches)  # type: ignore[arg-type]
    with pytest.raises(WrongResult, match="NOT within"):
        compared_with_cpu(case, Fake(apart), batches)  # type: ignore[arg-type]


class Scored:
    """Finds boxes with these scores, each far from the others."""

    depth, description = 1, {"candidates": 9}
    nms = from_text(None, "a network")

    def __init__(self, *scores: float) -> None:
        self.outputs = Outputs(
            np.array([[[9 * at, 0, 9 * at + 5, 5] for at in range(len(scores))]], np.float32),
            np.array([[[score] for score in scores]], np.float32),
        )

    def infer(self, batch: np.ndarray) -> Outputs:
        return self.outputs

    def start(self, batch: np.ndarray) -> None:
        pass

    def finish(self) -> Outputs:
        return self.outputs


@pytest.mark.parametrize(
    ("scores", "wrong"),
    [
        ((0.9, 0.7, 0.49999997), None),  # it differs by rounding, and so is below the threshold
        ((0.9, 0.1, 0.5), "scores 0.200000 apart"),
        ((0.9, 0.7, 0.6), "scores 0.100000 apart"),
        ((0.9, 0.1, 0.1), "NOT as many"),
        ((np.nan, 0.7, 0.5), "scores 0.200000 apart"),
    ],
)
def test_boxes_at_the_threshold_may_be_found_in_one_session_only(scores: tuple[float, ...], wrong: str | None) -> None:
    engine, top_k, batch = Scored(0.9, 0.7, 0.5), Scored(*scores), np.zeros((1, 4, 4, 3), np.uint8)
    for compare in (
        lambda: gpu_compare.compared_with_all(engine, top_k, [batch], 0.5),  # type: ignore[arg-type]
        lambda: gpu_compare.compared_in_full(engine, top_k, batch, 0.5),  # type: ignore[arg-type]
    ):
        if wrong is None:
            compare()
        else:
            with pytest.raises(WrongResult, match=wrong):
                compare()


def processes() -> Iterator[bytes]:
    """Yield the command lines of all processes."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield path.read_bytes()


@pytest.fixture
def hangups() -> Iterator[None]:
    """Let SIGHUP have its effect on processes that a test starts, also if pytest runs under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangups")
@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_parts_process_too(tmp_path: Path, ended_by: signal.Signals) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu_evidence", "--quick", "--device", "cpu"]
    with subprocess.Popen(
        [*command, "--page", str(tmp_path / "page.md")], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(ended_by)
        assert process.wait(30) == 1
    assert not list(tmp_path.glob("gpu-evidence-*"))
    wait_for_end(lambda: any(bytes(tmp_path) in command for command in processes()))


def test_what_a_gpu_computes_comes_before_the_ceiling() -> None:
    names = [part.name for part in gpu_evidence.PARTS]
    assert MACHINE.name not in names
    ceilings = [number for number, name in enumerate(names) if name.startswith("ceiling")]
    assert max(number for number, name in enumerate(names) if name.startswith("nvdec")) < min(ceilings)
