"""The detect step: faults of a media are recorded, and any other fault fails the job without a CSV."""

import sys
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from scripts.lib import metrics
from scripts.lib.detection import batch, batch_reader, frame_results, media_frames
from scripts.lib.detections import HEADER, DetectionWriter, read_detections
from scripts.lib.engines.openvino.engine import OpenVinoEngine
from scripts.lib.errors import DeviceError, GraphError
from scripts.lib.frames.source import FrameSource, Summary
from scripts.lib.frames.video import VideoFrames
from tests.media_files import cut, damage, painted, write_video
from tests.onnx_graph import write_onnx
from tests.scripts.test_detect import AQUARIUM, ODD, SYNTHETIC, Step, run

__all__ = ["run"]
pytestmark = pytest.mark.networks


@pytest.mark.parametrize("state", ["missing", "unsupported", "skipped"])
def test_a_media_without_a_file_needs_no_engine(run: Step, tmp_path: Path, state: str) -> None:
    empty = tmp_path / "5"
    empty.touch()
    absent = {"state": state, "reason": "as for all tests"}
    for records in ({"record": absent | {"name": None}, "download": absent}, {"download": absent}):
        outcome = run(empty, graph=tmp_path / "none.pb", **records)
        assert (outcome["state"], outcome["reason"]) == (state, "as for all tests")
        assert (outcome["boxes"], outcome["frames"]["decoded"], outcome["engine"]) == (0, 0, None)
        assert run.detections.read_text() == HEADER + "\n"


def test_a_metrics_file_that_cannot_be_read_costs_no_results(
    run: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(metrics.VARIABLE, str(tmp_path))
    media = tmp_path / "5.png"
    cv2.imwrite(str(media), np.zeros((180, 320, 3), np.uint8))
    assert run(media, kind="image")["frames"]["used"] == 1
    assert f"TATOR_METRICS_FILE: {tmp_path}: Is a directory; " in caplog.text


@pytest.mark.parametrize("content", [b"", b"junk" * 1000])
@pytest.mark.parametrize("kind", ["video", "image"])
def test_an_unreadable_media_is_recorded(run: Step, tmp_path: Path, content: bytes, kind: str) -> None:
    media = tmp_path / "5"
    media.write_bytes(content)
    outcome = run(media, kind=kind)
    assert outcome["state"] == "unreadable"
    assert outcome["reason"]
    assert run.detections.read_text() == HEADER + "\n"


def test_a_damaged_video_keeps_its_boxes(run: Step, tmp_path: Path) -> None:
    media = tmp_path / "5"
    media.write_bytes((SYNTHETIC / "clip_910004.mp4").read_bytes())
    damage(media, 0.6)
    outcome = run(media)
    assert outcome["state"] == "damaged"
    assert "decoding error" in outcome["reason"]
    assert outcome["frames"]["errors"][0].keys() == {"where", "what"}
    assert outcome["boxes"] == len(run.rows()) > 50


def test_the_numbers_of_lost_frames_are_recorded(run: Step) -> None:
    outcome = run(ODD / "x2_h264_lostkey.mp4")
    assert (outcome["state"], outcome["frames"]["missing"], outcome["frames"]["lost"]) == ("damaged", 19, [[19, 37]])


def test_a_truncated_video_is_damaged(run: Step, tmp_path: Path) -> None:
    media = write_video(tmp_path / "a.mkv")
    cut(media, 0.6)
    outcome = run(media)
    assert outcome["state"] == "damaged"
    assert 0 < outcome["frames"]["decoded"] < 40


def test_names_that_do_not_fit_the_networks_classes_are_refused(run: Step) -> None:
    with pytest.raises(GraphError, match=r"scores 3 classes, .*train\.ini names 7 \(fish, "):
        run(SYNTHETIC / "clip_910001.mp4", train_ini=AQUARIUM / "train.ini")
    assert run.left_nothing()


def test_an_engine_that_is_not_installed(
    run: Step, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    graph = write_onnx(tmp_path_factory.mktemp("graph") / "graph.onnx")
    with pytest.raises(DeviceError, match="TensorRT cannot be loaded here"):
        run(SYNTHETIC / "clip_910001.mp4", graph=graph, engine="tensorrt", precision="f16")
    assert run.left_nothing()


def test_a_missing_file_fails_the_job(run: Step, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run(tmp_path / "none")
    assert run.left_nothing()


class Injected(Exception):
    pass


def failing_after(calls: int, real: Any) -> Any:
    """Return a method that calls `real` `calls` times, and then raises."""
    count = iter(range(10**9))

    def method(*arguments: Any, **named: Any) -> Any:
        if next(count) >= calls:
            raise Injected
        return real(*arguments, **named)

    return method


@pytest.mark.parametrize("calls", [0, 3])
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (VideoFrames, "_decode"),
        (OpenVinoEngine, "start"),
        (OpenVinoEngine, "finish"),
        (DetectionWriter, "write"),
        (batch_reader.preprocess, "fit"),
        (frame_results.suppression, "select_frames"),
    ],
)
def test_any_exception_ends_the_step(
    run: Step, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, calls: int
) -> None:
    monkeypatch.setattr(owner, name, failing_after(calls, getattr(owner, name)))
    started = time.monotonic()
    with pytest.raises(Injected):
        run(SYNTHETIC / "clip_910004.mp4", batch_size=4)
    assert time.monotonic() - started < 60  # it does not wait for the thread at the other end of a queue
    assert run.left_nothing()
    assert not [thread for thread in threading.enumerate() if thread.name == "reader"]


class Stuck(FrameSource):
    """A source of 20 frames that then hangs, until `released` is set."""

    released = threading.Event()

    def __iter__(self):
        for number in range(20):
            yield self.summary.add_frame(painted(number)), painted(number)
        self.released.wait(30)

    def close(self) -> None:
        pass


def test_a_reader_that_hangs_does_not_hold_up_an_exception(run: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_frames, "open_frames", lambda *_, **__: Stuck())
    monkeypatch.setattr(OpenVinoEngine, "finish", failing_after(0, None))
    started = time.monotonic()
    with pytest.raises(Injected):
        run(SYNTHETIC / "clip_910001.mp4", batch_size=4)
    assert time.monotonic() - started < 25
    Stuck.released.set()


def test_scores_that_are_not_numbers_are_refused(run: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = OpenVinoEngine.finish

    def broken(self: OpenVinoEngine) -> Any:
        outputs = finish(self)
        outputs.scores[2, 5, 1] = np.nan
        return outputs

    monkeypatch.setattr(OpenVinoEngine, "finish", broken)
    with pytest.raises(GraphError, match="scores of frame 2 are not all numbers"):
        run(SYNTHETIC / "clip_910001.mp4")
    assert run.left_nothing()


def test_reading_ahead_is_limited(run: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a slow engine, only a few batches are read ahead."""
    ahead = []
    finish, add_frame = OpenVinoEngine.finish, Summary.add_frame
    read, done = [0], [0]

    def count(self: Any, picture: Any, **named: Any) -> int:
        read[0] += 1
        return add_frame(self, picture, **named)

    def slow(self: OpenVinoEngine) -> Any:
        time.sleep(0.05)
        ahead.append(read[0] - done[0])
        done[0] += 4
        return finish(self)

    monkeypatch.setattr(Summary, "add_frame", count)
    monkeypatch.setattr(OpenVinoEngine, "finish", slow)
    for module in (batch, batch_reader):
        monkeypatch.setattr(module, "BATCHES_BYTES", 0)  # as with large batches
    run(SYNTHETIC / "clip_910001.mp4", batch_size=4)
    assert max(ahead) <= 4 * 4 + 1


@pytest.mark.parametrize("score", [3.25, -3.25])
def test_scores_above_one_or_below_zero_are_refused(run: Step, monkeypatch: pytest.MonkeyPatch, score: float) -> None:
    finish = OpenVinoEngine.finish

    def logits(self: OpenVinoEngine) -> Any:
        outputs = finish(self)
        outputs.scores[2, 5, :2] = 0.9, score
        return outputs

    monkeypatch.setattr(OpenVinoEngine, "finish", logits)
    with pytest.raises(GraphError, match=rf"gives the score {score} in frame 2; expected scores from 0 to 1"):
        run(SYNTHETIC / "clip_910001.mp4")
    assert run.left_nothing()


def test_scores_that_rounding_moved_out_of_range_are_in_range_in_the_csv(
    run: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = OpenVinoEngine.finish

    def rounded(self: OpenVinoEngine) -> Any:
        outputs = finish(self)
        outputs.boxes[2, 5], outputs.scores[2, 5, :2] = (0, 0, 9, 9), (1.000977, -0.0009)
        return outputs

    monkeypatch.setattr(OpenVinoEngine, "finish", rounded)
    run(SYNTHETIC / "clip_910001.mp4")
    assert (1.0, 0.0) in {row.scores[:2] for row in read_detections(run.detections) if row.frame == 2}


def test_boxes_as_fractions_are_refused(run: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = OpenVinoEngine.finish

    def fractions(self: OpenVinoEngine) -> Any:
        outputs = finish(self)
        outputs.boxes[:] /= (self.size.width, self.size.height, self.size.width, self.size.height)
        return outputs

    monkeypatch.setattr(OpenVinoEngine, "finish", fractions)
    with pytest.raises(GraphError, match=r"gives boxes from 0 to 1 in frame .*expected x1, y1, x2, y2 in pixels"):
        run(SYNTHETIC / "clip_910001.mp4")
    assert run.left_nothing()


def test_a_graph_whose_boxes_are_fractions_is_refused(run: Step) -> None:
    network = {"graph": ODD / "onnx_normalised/graph.onnx", "train_ini": ODD / "onnx_normalised/train.ini"}
    with pytest.raises(GraphError, match=r"a folder: graph\.onnx: gives boxes from 0 to 1 in frame 0.*expected x1, y1"):
        run(SYNTHETIC / "clip_910001.mp4", pixels="rgb_0_to_1", first_label=1, **network)
    assert run.left_nothing()
