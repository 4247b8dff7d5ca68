"""Remember in the run's folder to which media in Tator its runs have uploaded boxes or tracks, and how many are there.

A record of an upload cannot tell that: Snakemake removes it before its job runs again, and a failed upload replaces it.
So this memory is not an output of a rule. It is written before the first box of a media is.

If jobs share no folder (a storage such as S3), they have no memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.lib.errors import PipelineError
from scripts.lib.files import read_json, write_json
from scripts.lib.workflow.planning.sub_folders import sub_folder

# In the folder of the record of prepare_upload, which is a run's `resources`.
FOLDER = "uploaded"


@dataclass(frozen=True)
class EarlierUploads:
    """The media in Tator with boxes, or tracks, of runs in this folder, for one version and type.

    The numbers of boxes are those of the last verified upload; 0 if no upload was verified.

    Attributes:
        folder: the folder of the memory.
        what: `boxes` or `tracks`.
        place: Tator's address, the project, the version and the type.
    """

    folder: Path
    what: str
    place: tuple[str, int, int, int]

    def of(self, media_id: int) -> dict[int, int]:
        """Return the number of boxes by media in Tator, for a media of the run; empty if there was no upload.

        Raises:
            PipelineError: the file was not written by this module.
        """
        return dict(_read(self._path(media_id)).get(self._key, {}))

    def left(self, media_id: int, *, besides: int | None = None) -> int:
        """Return the number of boxes of a media, without those in the media `besides` in Tator."""
        return sum(count for tator_id, count in self.of(media_id).items() if tator_id != besides)

    def begin(self, media_id: int, tator_id: int) -> None:
        """Store that boxes are about to be uploaded."""
        if tator_id not in (known := self.of(media_id)):
            self._store(media_id, known | {tator_id: 0})

    def end(self, media_id: int, tator_id: int, count: int) -> None:
        """Store the number of boxes after an upload or a removal was verified."""
        known = self.of(media_id)
        updated = {number: n for number, n in known.items() if number != tator_id} | (
            {tator_id: count} if count else {}
        )
        if updated != known:
            self._store(media_id, updated)

    @classmethod
    def total(cls, folder: Path, what: str) -> int:
        """Return the number of boxes or tracks of all media and places.

        Raises:
            PipelineError: a file was not written by this module.
        """
        found = (_read(path) for path in folder.glob(f"*/{what}.*.json"))
        return sum(count for places in found for counts in places.values() for count in counts.values())

    @property
    def _key(self) -> str:
        return " ".join(map(str, self.place))

    def _path(self, media_id: int) -> Path:
        return self.folder / sub_folder(media_id) / f"{self.what}.{media_id}.json"

    def _store(self, media_id: int, counts: Mapping[int, int]) -> None:
        path = self._path(media_id)
        others = {place: found for place, found in _read(path).items() if place != self._key}
        content = others | ({self._key: dict(counts)} if counts else {})
        if not content:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, content)


def _read(path: Path) -> dict[str, dict[int, int]]:
    if not path.exists():
        return {}
    try:
        content: Mapping[str, Mapping[str, Any]] = read_json(path)
        return {place: {int(one): int(n) for one, n in counts.items()} for place, counts in content.items()}
    except (ValueError, TypeError, AttributeError):
        raise PipelineError(
            f"{path}: it is not what an upload writes there; remove it; then boxes of earlier runs stay, "
            "also if their media is excluded"
        ) from None


def warning(folder: Path, *, uploads: bool, track_uploads: bool) -> str | None:
    """Return a sentence about the boxes and tracks in Tator that a run cannot remove, as it uploads none; or None.

    Args:
        folder: the folder of the memory.
        uploads: whether the run uploads boxes.
        track_uploads: whether the run uploads tracks.

    Raises:
        PipelineError: a file was not written by this module.
    """
    left = {} if uploads else {"boxes": EarlierUploads.total(folder, "boxes")}
    left |= {} if track_uploads else {"tracks": EarlierUploads.total(folder, "tracks")}
    parts = [f"{count} {what}" for what, count in left.items() if count]
    if not parts:
        return None
    return (
        f"{' and '.join(parts)} of earlier runs are still in Tator, as this run uploads no {' and no '.join(left)}; "
        "docs/running.md says how to remove them"
    )
