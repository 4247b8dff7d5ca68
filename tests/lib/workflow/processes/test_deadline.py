"""Test that a network with an endless loop ends its process, with a message that names the network."""

import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import onnx
import pytest
from onnx import TensorProto, helper

from scripts.lib.workflow.processes import deadline
from tests.onnx_graph import write_onnx
from tests.workflow import ROOT

PROGRAM = """
import sys
import time
from pathlib import Path
import numpy as np
from scripts.lib.workflow.processes import deadline
from scripts.lib.boxes import Size
from scripts.lib.engines.table import open_engine
graph, engine, seconds = sys.argv[1:]
deadline.set_limit(float(seconds), before_end=lambda: print("ended", flush=True))
with open_engine(Path(graph), engine=engine, size=Size(64, 64), batch_size=1, threads=1) as opened:
    with deadline.watched(graph, "busy with a batch"):
        opened.infer(np.zeros((1, 64, 64, 3), np.uint8))
print("done")
"""


def write_loop(path: Path, *, of_picture: bool, ends: bool) -> Path:
    """Write a network whose boxes depend on a loop, which counts up from the picture's mean or from a constant."""
    model = onnx.load(write_onnx(path))
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["boxes_before" if name == "boxes" else name for name in node.output]
    scalar = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in ("value", "next")}
    truth = {name: helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("goes_on", "still")}
    number = helper.make_tensor_value_info("number", TensorProto.INT64, [])
    body = helper.make_graph(
        [helper.make_node("Add", ["value", "one"], ["next"]), helper.make_node("Identity", ["goes_on"], ["still"])],
        "body",
        [number, truth["goes_on"], scalar["value"]],
        [truth["still"], scalar["next"]],
    )
    for name, value in (("one", 1.0), ("nothing", 0.0)):
        graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, [], [value]))
    graph.initializer.append(helper.make_tensor("begins", TensorProto.BOOL, [], [True]))
    graph.initializer.append(helper.make_tensor("times", TensorProto.INT64, [], [3 if ends else 2**62]))
    graph.node.extend([
        helper.make_node("ReduceMean", ["floats"], ["mean"], keepdims=0),
        helper.make_node("Loop", ["times", "begins", "mean" if of_picture else "nothing"], ["counted"], body=body),
        helper.make_node("Add", ["boxes_before", "counted"], ["boxes"]),
    ])  # fmt: skip
    onnx.save(model, path)
    return path


def run(graph: Path, engine: str, seconds: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, str(graph), engine, str(seconds)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.networks
@pytest.mark.parametrize("of_picture", [True, False])
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_loop_without_an_end(tmp_path: Path, engine: str, of_picture: bool) -> None:
    """A loop that does not depend on the picture is computed while the network is loaded."""
    graph = write_loop(tmp_path / "graph.onnx", of_picture=of_picture, ends=False)
    done = run(graph, engine, 3)
    assert done.returncode == 1, done.stderr
    assert f"{graph}: the network is still b" in done.stderr
    assert "after 3 seconds" in done.stderr
    assert "detect.batch_timeout_seconds" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == "ended\n"


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_loop_that_ends(tmp_path: Path, engine: str) -> None:
    done = run(write_loop(tmp_path / "graph.onnx", of_picture=True, ends=True), engine, 100)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_only_work_that_takes_too_long_ends_the_process() -> None:
    """Also if other work, with a longer limit, began before it."""
    program = """
import threading, time
from scripts.lib.workflow.processes import deadline
deadline.set_limit(1)
for _ in range(1000):
    with deadline.watched("quick", "busy"):
        pass
def long():
    with deadline.watched("long", "busy", batches=100):
        time.sleep(60)
threading.Thread(target=long, daemon=True).start()
time.sleep(1.5)
with deadline.watched("late", "busy"):
    print("begun", flush=True)
    time.sleep(60)
"""
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "begun\n"), done.stderr
    assert "late: the network is still busy after 1 seconds" in done.stderr
    assert time.monotonic() - begun < 50


def test_quick_work_does_not_wake_the_watcher() -> None:
    """Waking it for each batch takes processor time; only work with an earlier deadline must wake it."""
    watcher = deadline._Watcher()
    waits: list[float | None] = []
    wait = watcher._changed.wait

    def counted(timeout: float | None = None) -> bool:
        waits.append(timeout)
        return wait(timeout)

    with mock.patch.object(watcher._changed, "wait", counted):
        for _ in range(50):
            work = deadline._Work("quick", "busy", 900, time.monotonic() + 900)
            watcher.add(work)
            watcher.remove(work)
            time.sleep(0.002)  # if the watcher is woken, it waits again
        assert 1 <= len(waits) <= 3
        sooner = deadline._Work("sooner", "busy", 300, time.monotonic() + 300)
        watcher.add(sooner)
        until = time.monotonic() + 20
        while (waits[-1] or 0) > 300 and time.monotonic() < until:
            time.sleep(0.002)
        watcher.remove(sooner)  # otherwise it would end this process after 300 seconds
    assert 250 < (waits[-1] or 0) <= 300


CHANGES = """
import time
from pathlib import Path
from scripts import convert_network, quantize_network
from scripts.lib.boxes import Size
from scripts.lib.detection.whole_network import WholeNetwork
from scripts.lib.workflow.processes import deadline
def busy(*arguments, **named):
    time.sleep(60)
def limited(returned):
    def work(*arguments, **named):
        deadline.set_limit(0.1)
        return returned
    return work
convert_network.sha256 = quantize_network.sha256 = limited("")
"""
CONVERSION = """
convert_network._cut_definition = limited(None)
convert_network._convert = limited(b"")
convert_network.{busy} = busy
convert_network.convert_network(
    graph=Path("tests/data/synthetic/graph.pb"), onnx=Path(folder, "a.onnx"), record=Path(folder, "a.json"),
    img_max_side=64, img_min_side=64, threads=1,
)
"""
QUANTIZATION = """
quantize_network.take_frames = limited({{"1": 20}})
quantize_network.{busy} = busy
quantize_network.read_network = lambda *asked: WholeNetwork(Path("graph.pb"), None, 1, Size(64, 64), 1)
quantize_network.quantize_network(
    graph=Path("graph.pb"), train_ini=Path("train.ini"), provenance=Path("provenance.json"),
    quantized=Path(folder, "a.xml"), weights=Path(folder, "a.bin"), records=[], img_max_side=64, img_min_side=64,
    calibration_frames=20, keep_threshold=0.5, drift=Path(folder, "a.json"), max_drift=0.1, threads=1, nms=None,
)
"""


@pytest.mark.networks
@pytest.mark.parametrize(
    ("step", "busy", "doing"),
    [
        (CONVERSION, "_convert", "being converted by TensorFlow after 0.1"),
        (CONVERSION, "_compare", "running on 4 pictures"),
        (QUANTIZATION, "_quantized", "being quantized with 14 frames after 1 seconds"),
    ],
    ids=["conversion", "comparison", "quantization"],
)
def test_converting_or_quantizing_a_network_without_end(tmp_path: Path, step: str, busy: str, doing: str) -> None:
    """One step at a time is replaced by waiting."""
    program = f"folder = {str(tmp_path)!r}\n{CHANGES}{step.format(busy=busy)}"
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert f"graph.pb: the network is still {doing}" in done.stderr
    assert "detect.batch_timeout_seconds" in done.stderr
    assert time.monotonic() - begun < 50
    assert not (tmp_path / "a.onnx").exists()
