"""Whether the benchmarks run and give their figures; nothing here checks how fast anything is."""

import json
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import measure, scale
from benchmarks.__main__ import SECTIONS
from benchmarks.case import Case
from benchmarks.clips import SAMPLE, repeat_clip, write_clip
from benchmarks.measure import Usage
from benchmarks.network import Shape, anchors, write_network
from benchmarks.outside import PLAIN_LOOP, measure_plain_loop
from benchmarks.paced_engine import PacedEngine
from scripts.lib.boxes import Size
from scripts.lib.engines.table import open_engine
from scripts.lib.frames.video import VideoFrames
from tests.onnx_graph import write_onnx
from tests.workflow import ROOT

TINY = Shape((1, 1, 1, 1), 8, 16)


@pytest.mark.timeout(300)
def test_every_section_prints_its_figures(tmp_path: Path) -> None:
    # The sample network's input suits any graph of the same classes.
    import openvino

    made = tmp_path / "made"
    made.mkdir()
    openvino.save_model(openvino.Core().read_model(write_onnx(made / "graph.onnx", classes=7)), made / "graph.xml")
    # A program of the user's own, here one that notes its arguments.
    peer = tmp_path / "peer.py"
    peer.write_text(
        "import sys\nfrom pathlib import Path\nfrom benchmarks.plain_loop import main\n"
        f"Path({str(tmp_path / 'arguments')!r}).open('a').write(' '.join(sys.argv[1:]) + '\\n')\nmain()\n"
    )
    command = [sys.executable, "-m", "benchmarks", "--quick", "--made", str(made)]
    command += ["--results", str(tmp_path / "results.json"), "--peer", f"env PYTHONPATH={ROOT} {sys.executable} {peer}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results) == ["machine", *SECTIONS]
    for section in SECTIONS:
        assert next(iter(results[section])) == ("h264 720p x1" if section == "ceiling" else "sample")
        for network, figures in results[section].items():
            spreads = {key: value for key, value in figures.items() if isinstance(value, dict)}
            assert spreads
            assert all(one["min"] <= one["median"] <= one["max"] for one in spreads.values())
            # On a busy machine, the longer of two runs may end first.
            differences = {"second_media_seconds", "cpu_ms_beside_decoding"}
            assert all(one["min"] >= 0 for key, one in spreads.items() if key not in differences)
            assert f"{section:11} {network:13}" in done.stdout
    started = [shlex.split(line) for line in (tmp_path / "arguments").read_text().splitlines()]
    assert ["--pb" in arguments for arguments in started] == [True, False, False]
    assert results["plain_loop"]["resnet50"]["boxes"] == results["plain_loop"]["resnet50"]["boxes_of_the_other"]


def test_every_section_of_many_media_prints_its_figures(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.scale", "--quick", "--results", str(tmp_path / "scale.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "scale.json").read_text())
    assert list(results) == ["machine", *scale.SECTIONS]
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == sum(len(figures) for section in scale.SECTIONS for figures in results[section].values())
    for section, name, figure in scale.TARGETS:
        if section not in ("folder_plans", "file_plans") or name in scale.QUICK.files:
            assert figure in results[section][name]
    assert results["idle"]["auto"]["requests"] == 2  # whether the version and its boxes still exist
    assert results["uploads"]["boxes"]["media_written"] == results["uploads"]["boxes"]["media_listed"] == 1


def test_the_plain_loop_finds_the_same_boxes_as_the_workflow(tmp_path: Path) -> None:
    size = Size(256, 128)
    graph = write_network(tmp_path / "graph.onnx", size, replace(TINY, score_bias=-1.5))
    clip = write_clip(tmp_path / "a.mp4", Size(320, 180), 5)
    case = Case("any", graph, graph, SAMPLE / "train.ini", size, 0.4)
    found = measure_plain_loop(case, clip, tmp_path / "step", rounds=1, patience=0, peer=PLAIN_LOOP)
    assert found["boxes"] > 20
    assert found["boxes"] == found["boxes_of_the_other"]


def test_the_workflow_reads_the_network_of_the_benchmark(tmp_path: Path) -> None:
    size = Size(256, 128)
    with open_engine(
        write_network(tmp_path / "a.onnx", size, TINY), engine="openvino", size=size, batch_size=2, threads=1
    ) as engine:
        boxes, scores = engine.infer(np.zeros((2, 128, 256, 3), np.uint8))
    places = anchors(size)
    assert len(places) == 9 * (32 * 16 + 16 * 8 + 8 * 4 + 4 * 2 + 2 * 1)
    assert places[4].tolist() == pytest.approx(np.array([4, 4, 4, 4]) + 16 * 2 ** (1 / 3) * np.array([-1, -1, 1, 1]))
    assert boxes.shape == (2, len(places), 4)
    assert scores.shape == (2, len(places), 7)
    assert write_network(tmp_path / "b.onnx", size, TINY).read_bytes() == (tmp_path / "a.onnx").read_bytes()


def test_a_repeated_clip_is_an_undamaged_video(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", Size(160, 90), 30)
    with VideoFrames(repeat_clip(clip, tmp_path / "b.mp4", 3)) as frames:
        pictures = [picture for _, picture in frames]
    assert (frames.summary.decoded, frames.summary.declared, frames.summary.damaged) == (90, 90, False)
    assert all(np.array_equal(pictures[at], pictures[at + 60]) for at in range(30))


def test_the_paced_engine_takes_the_time_of_its_pace() -> None:
    with PacedEngine(Size(64, 64), 4, classes=2, anchors=50, pace=100) as engine:
        started = time.monotonic()
        for _ in range(engine.depth):
            engine.start(np.zeros((4, 64, 64, 3), np.uint8))
        outputs = engine.finish()
        assert time.monotonic() - started >= 4 / 100
        assert len(engine.finish().boxes) == 4
        assert time.monotonic() - started >= 8 / 100
    assert outputs.boxes.shape == (4, 50, 4)
    assert [int((scores.max(axis=1) > 0.5).sum()) for scores in outputs.scores] == [20] * 4


def test_disturbed_rounds_are_measured_again() -> None:
    others = iter([0.0, 0.9, 0.5, 0.1, 0.0, 0.0, 0.0, 0.0])
    order: list[str] = []

    def action(name: str) -> Usage:
        order.append(name)
        return Usage(1, 1, next(others))

    found = measure.in_turns([lambda: action("a"), lambda: action("b")], rounds=2, patience=3)
    assert "".join(order) == "abbaabba"
    assert len(found) == 2
    assert all(map(measure.quiet, found))


def test_a_round_that_remains_disturbed_is_reported() -> None:
    found = measure.in_turns([lambda: Usage(1, 1, 0.9)], rounds=2, patience=2)
    assert len(found) == 2
    assert not any(map(measure.quiet, found))


def test_memory_of_a_process_and_its_children(tmp_path: Path) -> None:
    hold = "x = bytearray(40_000_000); import time; time.sleep(1)"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}], check=True)"
    used = measure.measured_process([sys.executable, "-c", script], directory=tmp_path, watch_memory=True)
    assert 40e6 < used.pss < 90e6
    assert used.wall > 1 > used.cpu > 0


def test_a_failing_program_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with 3: no good"):
        measure.measured_process(
            [sys.executable, "-c", "import sys; print('no good', file=sys.stderr); sys.exit(3)"], directory=tmp_path
        )
