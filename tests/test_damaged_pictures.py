"""Whole runs with damaged pictures."""

import cv2
import pytest

from tests.conftest import SYNTHETIC
from tests.tator_server.launch import running
from tests.test_end_to_end import Site


@pytest.fixture
def site(tmp_path):
    """Yield a site of an intact picture, one without its end marker, and one with a hole; each shows animals."""
    folder = tmp_path / "media"
    folder.mkdir()
    video = cv2.VideoCapture(str(SYNTHETIC / "clip_910001.mp4"))
    frame = video.read()[1]
    video.release()
    content = cv2.imencode(".jpg", frame)[1].tobytes()
    (folder / "a_sound.jpg").write_bytes(content)
    assert content.endswith(b"\xff\xd9")
    (folder / "b_no_end.jpg").write_bytes(content[:-2])
    hole = int(len(content) * 0.9)
    (folder / "c_hole.jpg").write_bytes(content[:hole] + bytes(64) + content[hole + 64 :])
    with running(folder, tmp_path / "state") as server:
        yield Site(server, tmp_path / "run")


def test_damaged_pictures_are_refused_or_accepted(site):
    done = site.run()
    assert done.returncode == 1, done.stdout
    assert list(site.states().values()) == ["done", "damaged", "damaged"]
    assert {box["media"] for box in site.boxes()} == {1}
    assert [media_id for media_id, mark in site.marks().items() if mark not in ("No", None, "")] == [1]

    site.settings["media"] = {"on_damaged": "accept"}
    done = site.run()
    assert done.returncode == 0, done.stdout
    assert "rule detect:" not in done.stdout
    assert list(site.states().values()) == ["done", "damaged", "damaged"]
    boxes = [[box for box in site.boxes() if box["media"] == media_id] for media_id in (1, 2, 3)]
    assert len(boxes[0]) == len(boxes[1]) > 0
    assert boxes[2]
    assert [media_id for media_id, mark in site.marks().items() if mark not in ("No", None, "")] == [1, 2, 3]
