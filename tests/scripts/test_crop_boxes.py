"""Crops of media without a file; the rule's unit test compares the crops themselves."""

from pathlib import Path

import pytest

from scripts.crop_boxes import crop_boxes
from scripts.lib.detections import HEADER
from scripts.lib.errors import MediaFault
from scripts.lib.files import write_json
from scripts.lib.record_files import write_record
from tests.made_records import detection_record


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
