"""Crops of media that have no file or cannot be decoded; the rule's unit test compares the crops themselves."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from scripts.crop_boxes import crop_boxes
from scripts.lib.detections import HEADER
from scripts.lib.errors import MediaFault
from scripts.lib.files import write_json
from scripts.lib.records.record_files import write_record
from scripts.lib.workflow.processes import memory
from tests.made_records import detection_record, download_record, media_record


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Return the files of a media whose results exist, but which could not be downloaded again."""
    names = {"media": "media", "detections": "boxes.csv", "train_ini": "train.ini", "crops": "crops"}
    paths = {key: tmp_path / name for key, name in names.items()}
    paths |= {key: tmp_path / f"{key}.json" for key in ("record", "download", "outcome")}
    paths["media"].write_bytes(b"")
    paths["train_ini"].write_text("[Data]\nSpecies=cod\n")
    write_json(paths["record"], {"media_id": 1, "state": "ready", "reason": None, "name": None, "kind": "video"})
    write_record(paths["outcome"], detection_record())
    write_json(paths["download"], {"media_id": 1, "state": "failed", "reason": "Tator answers 500"})
    return paths


def test_boxes_of_a_media_that_could_not_be_downloaded_again_are_a_fault(files: dict[str, Path]) -> None:
    files["detections"].write_text(f"{HEADER}\n1_clip,3,1.000,2.000,30.000,40.000,0.900000:0.900000,1\n")
    with pytest.raises(MediaFault, match=r"its boxes cannot be cut out, .*: Tator answers 500; run again"):
        crop_boxes(**files)


def test_a_media_without_boxes_needs_no_file(files: dict[str, Path]) -> None:
    files["detections"].write_text(f"{HEADER}\n")
    crop_boxes(**files)
    assert not list(files["crops"].iterdir())


@pytest.fixture
def too_little_memory() -> Iterator[None]:
    """Run the test as a job with too little memory for any picture."""
    memory.set_limit(1)
    yield
    memory.set_limit(None)


@pytest.mark.usefixtures("too_little_memory")
def test_a_media_that_only_detect_could_decode_is_a_fault(files: dict[str, Path]) -> None:
    files["detections"].write_text(f"{HEADER}\n1_clip,0,1.000,2.000,30.000,40.000,0.900000:0.900000,1\n")
    files["media"].write_bytes(cv2.imencode(".jpg", np.zeros((480, 640, 3), np.uint8))[1].tobytes())
    write_record(files["download"], download_record())
    write_record(files["record"], media_record(kind="image"))
    with pytest.raises(MediaFault, match="unsupported: its file has 1 MB and is read as a whole"):
        crop_boxes(**files)
    write_record(files["outcome"], detection_record(state="unsupported"))
    crop_boxes(**files)
    assert not list(files["crops"].iterdir())
