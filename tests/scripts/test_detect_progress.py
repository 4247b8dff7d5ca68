"""Test the lines of progress in the log of the detect step."""

import re
from pathlib import Path

import pytest

from scripts.lib.detection import network, pipeline
from scripts.lib.detection.media_task import FrameInput, MediaTask, ResultOutput
from tests.media_files import painted, write_video
from tests.scripts.test_detect import Mirror, Step, run
from tests.scripts.test_detect_faults import Stuck

__all__ = ["run"]
pytestmark = pytest.mark.networks


@pytest.mark.parametrize(
    ("name", "asked", "line"),
    [
        ("a.mp4", {}, r"16 of 60 frames \(26 %\), \d+\.\d frames/s, 0:00:\d\d left"),
        ("a.mkv", {}, r"16 of about 60 frames \(26 %\), "),
        ("a.mp4", {"frame_stride": 2, "frame_range": [20, 90]}, r"16 of 20 frames \(80 %\), "),
    ],
)
def test_lines_of_progress(
    run: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    *, name: str, asked: dict, line: str,
) -> None:  # fmt: skip
    monkeypatch.setattr("scripts.lib.progress.SECONDS", 0.0)
    monkeypatch.setattr(network, "open_engine", lambda *_, **__: Mirror(8))
    with caplog.at_level("INFO"):
        outcome = run(write_video(tmp_path / name, range(60)), **Mirror.settings, **asked)
    assert re.search(line, caplog.text)
    assert f"60 frames decoded, {outcome['frames']['used']} of them through the network" in caplog.text


def test_progress_if_the_number_of_frames_is_unknown(caplog: pytest.LogCaptureFixture) -> None:
    class Endless(Stuck):
        def __iter__(self):
            for _ in range(16):
                yield self.summary.add_frame(painted(0)), painted(0)

    class Counted(FrameInput):
        open = open_again = Endless

    class NoOutput(ResultOutput):
        take = restart = finish = abandon = lambda *_: None

    with pytest.MonkeyPatch.context() as patch, caplog.at_level("INFO"):
        patch.setattr("scripts.lib.progress.SECONDS", 0.0)
        detector = pipeline.Detector(lambda: Mirror(8), size=Mirror.size, batch_size=8, threshold=0.3)
        detector.run([MediaTask(Counted(), NoOutput())])
    assert re.search(r"^INFO .*8 frames, \d+\.\d frames/s$", caplog.text, re.MULTILINE)
    assert "left" not in caplog.text
