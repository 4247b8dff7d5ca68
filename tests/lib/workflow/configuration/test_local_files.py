"""Files and folders that the settings name."""

from pathlib import Path
from typing import Any

import pytest

from scripts.lib.errors import SettingsError
from scripts.lib.evaluation import truth_check
from scripts.lib.workflow.configuration import local_files

KEYS = [
    *("network.directory", "network.archive", "network.ca_file", "tator.ca_file"),
    *("evaluate.truth_file", "evaluate.track_truth_file"),
]


def settings(path: str, value: str) -> dict[str, dict[str, str | None]]:
    found: dict[str, dict[str, str | None]] = {}
    for each in KEYS:
        section, key = each.split(".")
        found.setdefault(section, {})[key] = value if each == path else None
    return found


@pytest.mark.parametrize("path", KEYS)
@pytest.mark.parametrize(
    ("value", "part"), [("~/there", "only a shell replaces"), ("not/there", "does not exist"), ("a\0b", "NUL")]
)
def test_missing_files_are_reported(path: str, value: str, part: str) -> None:
    with pytest.raises(SettingsError, match=part) as found:
        local_files.check(settings(path, value), [])
    assert f"{path}: {value!r}" in str(found.value)


def test_a_file_instead_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="is not a folder"):
        local_files.check(settings("network.directory", str(tmp_path / "file")), [])
    local_files.check(settings("network.archive", str(tmp_path / "file")), [])
    local_files.check(settings("network.directory", str(tmp_path)), [])


@pytest.mark.parametrize("path", ["network.ca_file", "tator.ca_file"])
def test_a_file_without_certificates(tmp_path: Path, path: str) -> None:
    (tmp_path / "ca.pem").write_bytes(b"0\x82")
    with pytest.raises(SettingsError, match=rf"{path}: {tmp_path}/ca\.pem has no usable certificates in PEM format"):
        local_files.check(settings(path, str(tmp_path / "ca.pem")), [])


def checked_for(found: dict[str, dict[str, Any]], key: str, path: Path, complaint: str | None) -> None:
    """Check the settings of a run of media 1 and 2; expect this complaint about the file that the key names."""
    if complaint is None:
        local_files.check(found, [1, 2])
        return
    with pytest.raises(SettingsError, match=complaint) as caught:
        local_files.check(found, [1, 2])
    assert f"{key}: {str(path)!r}" in str(caught.value)


def coco(image: str, box: str = "[1, 1, 5, 5]", category: int = 4) -> str:
    annotation = f'{{"image_id": 1, "category_id": {category}, "bbox": {box}}}'
    return f'{{"images": [{image}], "annotations": [{annotation}], "categories": [{{"id": 4, "name": "cod"}}]}}'


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        (
            "truth.csv",
            "media_id,frame,x,y,w,h,species\n7,0,1,1,5,5,cod\n9,0,1,1,5,5,cod\n",
            "names the media 7, 9, none",
        ),
        ("truth.csv", "media_id,frame,x,y,w,h,species\n", "holds no boxes"),
        ("truth.csv", "media_id,frame\nseven,1\n", "cannot be read"),
        ("truth.json", coco('{"id": 1, "media_id": 7, "frame": 0}'), "names the media 7, none"),
        ("truth.json", '{"images": [], "annotations": [], "categories": []}', "holds no boxes"),
        ("truth.json", "[]", "cannot be read"),
        ("truth.csv", "media_id,frame,x,y,w,h,species\n7,0,1,1,5,5,cod\n2,0,1,1,5,5,cod\n", None),
        ("truth.csv", "video_id,frame,x,y,w,h,species\n7_a.mp4,0,1,1,5,5,cod\n", None),
        ("truth.csv", "frame,x,y,w,h,species\n0,1,1,5,5,cod\n", None),
        ("truth.json", coco('{"id": 1, "file_name": "a.mp4", "frame": 0}'), None),
        ("truth.json", coco('{"id": 1, "file_name": "cam1/a.jpg"}'), None),
        ("truth.csv", "", "cannot be read: its columns are none"),
        ("truth.csv", "media_id,frame,x,y,species\n2,0,1,1,cod\n", "its columns are media_id, frame, x, y, species"),
        ("truth.csv", "media_id,frame,x,y,w,h,species\n2,0,1,one,5,5,cod\n", "2: could not convert .* 'one'"),
        ("truth.csv", "media_id,frame,x,y,w,h,species\ntwo,0,1,1,5,5,cod\n", "2: invalid literal .* 'two'"),
        ("truth.csv", "video_id,frame,x,y,w,h,species\n2_a.mp4,0,1,1,0,5,cod\n", "a box of 0 x 5 pixels"),
        ("truth.csv", "frame,x,y,w,h,species\n0,1,1,5,inf,cod\n", "a box of 5 x inf pixels"),
        ("truth.csv", "media_id,frame,x,y,w,h,species_id\n2,0,1,1,5,5,3\n", "species 3; expected 1 to 2, as in train"),
        ("truth.csv", "media_id,frame,x,y,w,h,species_id\n2,0,1,1,5,5,2\n", None),
        ("truth.csv", "media_id,frame,x,y,w,h,species\n2,0,1,1\n", "2: too few fields"),
        ("truth.csv", b"media_id,frame,x,y,w,h,species\n2,0,1,1,5,5,\xff\n", "not UTF-8 text"),
        # Whose media it is cannot be known yet, and boxes of other media are left out without a check.
        ("truth.csv", "video_id,frame,x,y,w,h,species\nother,0,1,1,0,0,cod\n", None),
        ("truth.json", coco('{"id": 1, "media_id": 2, "frame": 0}', box='["left", 1, 5, 5]'), "ValueError: could not"),
        (
            "truth.json",
            coco('{"id": 1, "media_id": 2, "frame": 0}', category=9),
            "of category 9, which",
        ),
        ("truth.json", coco('{"id": 3, "media_id": 2, "frame": 0}'), "of image 1, which the file does not list"),
        ("truth.json", coco('{"id": 1, "media_id": 2, "frame": -1}'), "frame -1; expected 0"),
        ("truth.json", "", "not COCO JSON"),
        ("truth.json", b"\xff", "not COCO JSON"),
    ],
)
def test_faults_of_true_boxes_are_found_while_planning(
    tmp_path: Path, name: str, content: str | bytes, complaint: str | None
) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    (tmp_path / "train.ini").write_text("[Data]\nSpecies=cod,crab\n")
    found: dict[str, dict[str, Any]] = {**settings("evaluate.truth_file", str(path))}
    found["network"] |= {"directory": str(tmp_path)}
    checked_for(found, "evaluate.truth_file", path, complaint)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("media_id,frame,track,x,y,w,h\n2,0,1,1,1,5,5\n", None),
        ("1,1,10,10,5,5,1,-1,-1,-1\n", None),
        ("video_id,frame,track,x,y,w,h\nreef,0,1,1,1,5,5\n", None),
        ("", "it is empty"),
        ("media_id,frame,track,x,y,w,h\n", "holds no tracks"),
        ("media_id,frame,track,x,y,w,h\n7,0,1,1,1,5,5\n", "names the media 7, none of which is in this run"),
        ("media_id,frame,x,y,w,h\n2,0,1,1,5,5\n", "has no column track"),
        ("media_id,frame,track,x,y,w,h\n2,zero,1,1,1,5,5\n", "2: invalid literal .* 'zero'"),
        ("media_id,frame,track,x,y,w,h\n2,0,1,1,1,0,5\n", "2: a box of 0 x 5 pixels"),
        ("media_id,frame,track,x,y,w,h\n2,0,1,1,1,5,5\n2,0,1,9,1,5,5\n", "3: track 1 has two boxes in frame 0"),
        ("0,1,10,10,5,5,1,-1,-1,-1\n", "1: frame 0, track 1"),
    ],
)
def test_faults_of_true_tracks_are_found_while_planning(tmp_path: Path, content: str, complaint: str | None) -> None:
    path = tmp_path / "gt.txt"
    path.write_text(content)
    found = settings("evaluate.track_truth_file", str(path))
    checked_for(found, "evaluate.track_truth_file", path, complaint)


def test_only_some_of_many_true_boxes_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    rows = "7,0,1,1,5,5,cod\n" * truth_check.ROWS
    path.write_text(f"media_id,frame,x,y,w,h,species\n{rows}2,0,1,1,5,5,cod\n")
    local_files.check(settings("evaluate.truth_file", str(path)), [1, 2])
