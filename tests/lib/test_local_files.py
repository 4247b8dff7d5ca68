"""Files and folders that the settings name."""

from pathlib import Path
from typing import Any

import pytest

from scripts.lib.errors import SettingsError
from scripts.lib.workflow import local_files

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
def test_what_is_not_there_is_said(path: str, value: str, part: str) -> None:
    with pytest.raises(SettingsError, match=part) as found:
        local_files.check(settings(path, value), [])
    assert f"{path}: {value!r}" in str(found.value)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="is not a folder"):
        local_files.check(settings("network.directory", str(tmp_path / "file")), [])
    local_files.check(settings("network.archive", str(tmp_path / "file")), [])
    local_files.check(settings("network.directory", str(tmp_path)), [])


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
        ("truth.json", '{"images": [{"id": 1, "media_id": 7}], "annotations": [{}]}', "names the media 7, none"),
        ("truth.json", '{"images": [], "annotations": []}', "holds no boxes"),
        ("truth.json", "[]", "cannot be read"),
        ("truth.csv", "media_id,frame,x,y,w,h,species\n7,0,1,1,5,5,cod\n2,0,1,1,5,5,cod\n", None),
        ("truth.csv", "video_id,frame,x,y,w,h,species\n7_a.mp4,0,1,1,5,5,cod\n", None),
        ("truth.csv", "frame,x,y,w,h,species\n0,1,1,5,5,cod\n", None),
        ("truth.json", '{"images": [{"id": 1, "file_name": "a.mp4"}], "annotations": [{}]}', None),
    ],
)
def test_true_boxes_of_other_media_are_found_while_planning(
    tmp_path: Path, name: str, content: str, complaint: str | None
) -> None:
    path = tmp_path / name
    path.write_text(content)
    found: dict[str, dict[str, Any]] = {**settings("evaluate.truth_file", str(path))}
    if complaint is None:
        local_files.check(found, [1, 2])
        return
    with pytest.raises(SettingsError, match=complaint) as caught:
        local_files.check(found, [1, 2])
    assert f"evaluate.truth_file: {str(path)!r}" in str(caught.value)
