"""A stand-in for Tator's client with a project of very many media, whose responses are generated on request."""

import json
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scripts.lib.records import UploadRecord
from scripts.lib.records.record_files import write_record
from scripts.lib.records.upload import People

MARK = "Object Detector Processed"
COUNTS = {"cod": "MaxN cod", "crab": "MaxN crab"}
_TYPE = 1
_MOMENT = "2026-11-28T11:31:41+00:00"
_FILE = {
    **{"path": "11/4711/0a4a8a2e-8f4b-4f5f-9d0e-2f4d5c6b7a89.jpg", "size": 51_234, "resolution": [24, 32]},
    **{"codec": None, "codec_mime": None, "mime": "image/jpeg", "bit_rate": None},
}
# As in Tator's responses, with the attributes of a typical survey.
_ROW = {
    **{"type": _TYPE, "project": 1, "md5": "0" * 32, "uid": "6f1d7b1e-5a0e-4f0c-bb43-1b1f1c8ad0a1", "gid": None},
    **{"created_datetime": _MOMENT, "modified_datetime": _MOMENT, "created_by": 3, "modified_by": 3, "dtype": "image"},
    **{"archive_state": "live", "archive_status_date": _MOMENT, "fps": None, "num_frames": 1, "codec": None},
    **{"width": 32, "height": 24, "total_size": 61_234, "recycled_from": None, "segment_info": None, "source_url": ""},
    **{"elemental_id": "1d5c5d4e-7d0d-4f43-8f2b-5a8b5c0d2f11", "summary_level": None, "last_edit_start": _MOMENT},
    "attributes": {"Depth": 31.5, "Station": "cam 12, north", "Bait": "pilchard", "Visibility": "good", MARK: "No"},
    "media_files": {"image": [_FILE], "thumbnail": [_FILE, _FILE]},
}


class ManyMedia:
    """The calls that the steps make.

    Attributes:
        count: number of media; their ids begin with 1, their names are those of `name_of`.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._is_marked, self._mark = bytearray(count + 1), ""
        self._counts = {name: array("h", [-1]) * (count + 1) for name in COUNTS.values()}

    def get_media_list_by_id(self, _: int, body: dict[str, Any], **__: Any) -> list[dict[str, Any]]:
        """Return the media with these ids."""
        return [self._row(number) for number in body["ids"]]

    def get_media_list(self, _: int, *, stop: int, after: int = 0, **__: Any) -> list[dict[str, Any]]:
        """Return a page of all media."""
        return [self._row(number) for number in range(after + 1, min(after + stop, self.count) + 1)]

    def get_media_type_list(self, _: int) -> list[dict[str, Any]]:
        """Return the one media type."""
        mark = {"name": MARK, "dtype": "string", "required": False, "default": "No"}
        counts = [{"name": name, "dtype": "int", "required": False} for name in COUNTS.values()]
        return [{"id": _TYPE, "name": "Pictures", "dtype": "image", "attribute_types": [mark, *counts]}]

    def get_section_list(self, _: int) -> list[dict[str, Any]]:
        """Return an empty list."""
        return []

    def update_media_list(self, _: int, body: dict[str, Any]) -> dict[str, Any]:
        """Set the mark of these media, or their counts."""
        for name, value in body["attributes"].items():
            if name == MARK:
                self._mark = value
            for number in body["ids"]:
                if name == MARK:
                    self._is_marked[number] = 1
                else:
                    self._counts[name][number] = value
        return {}

    def _row(self, number: int) -> dict[str, Any]:
        row: dict[str, Any] = json.loads(json.dumps(_ROW)) | {"id": number, "name": name_of(number)}
        if self._is_marked[number]:
            row["attributes"][MARK] = self._mark
        row["attributes"] |= {name: counts[number] for name, counts in self._counts.items() if counts[number] >= 0}
        return row


def name_of(number: int) -> str:
    """Return the name of a media of these runs."""
    return f"cam{number // 1000:05d}/{number:08d}.jpg"


def write_uploads(folder: Path, media_ids: Sequence[int], paths: Sequence[Path]) -> None:
    """Write the record of each media's upload, verified with two boxes.

    Args:
        folder: the run's folder.
        media_ids: the media.
        paths: the files to write, relative to the folder.
    """
    people = People(edited=[], added=[], deleted=[], withheld=[])
    for media_id, path in zip(media_ids, paths, strict=True):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        moment = f"2026-11-28T11:{media_id // 60 % 60:02d}:{media_id % 60:02d}+00:00"
        record = UploadRecord(
            media_id=media_id,
            type_id=_TYPE,
            state="verified",
            reason=None,
            verified_at=moment,
            changed_at=moment,
            boxes=2,
            people=people,
        )
        write_record(folder / path, record, synced=False)


def project_of(count: int) -> Callable[..., Any]:
    """Return a subclass of Project that uses this client, with `count` media."""
    from scripts.lib.server.api import Project  # imports Tator's client, which some steps do not need
    from scripts.lib.server.pace import Pace
    from scripts.lib.server.sessions import Clock

    class OfManyMedia(Project):
        def __init__(self, host: str, project_id: int, connections: int = 1) -> None:
            self.host, self.id, self.clock = host, project_id, Clock()
            self._pace, self._api = Pace(connections), ManyMedia(count)

    return OfManyMedia
