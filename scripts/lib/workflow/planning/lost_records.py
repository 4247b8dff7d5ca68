"""Results for which Snakemake has no record of the settings that they were made with.

Snakemake keeps these records in .snakemake/metadata. If one of a job's files has none, because the folder was copied
without .snakemake or a power failure emptied the record, Snakemake compares none of the job's settings and keeps its
results. It has no records either of files of single media that were not outputs of shared jobs and are now. Here such
files are marked as incomplete, so that Snakemake makes them again if they are needed (--rerun-incomplete).
"""

import base64
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from scripts.lib.errors import SettingsError

_STATE = Path(".snakemake")
_LONGEST_NAME = 255
# Differs from what Snakemake writes when a job starts; it reads only the first key.
_MARKER = json.dumps({"external_jobid": None, "reason": "no record"})


def require_files(are_in_files: bool) -> None:
    """Refuse a run whose records are not in files.

    Args:
        are_in_files: whether Snakemake keeps its records in .snakemake/metadata.

    Raises:
        SettingsError: they are in a database.
    """
    if not are_in_files:
        raise SettingsError(
            "--persistence-backend: db is not supported, since changes of the settings could be overlooked; "
            "leave this option out"
        )


def outputs(patterns: Iterable[str], media_ids: Sequence[int]) -> Iterator[str]:
    """Yield the files that rules make, except those of parts of videos, which are temporary.

    Args:
        patterns: the rules' outputs, which may contain `{media_id}`.
        media_ids: the media of the run.
    """
    for pattern in patterns:
        if "{media_id}" not in pattern:
            yield pattern
        elif "{part}" not in pattern:
            for media_id in media_ids:
                yield pattern.format(media_id=media_id)


def mark(files: Iterable[str]) -> list[str]:
    """Mark those of these files that exist without a readable record as incomplete; return the newly marked ones.

    Earlier marks of files whose record is there again are removed, as after `.snakemake` was copied too.

    Args:
        files: outputs of rules, below the current folder.
    """
    _remove_settled_marks()
    found = []
    for file in files:
        if os.path.exists(file) and not _is_readable(_path("metadata", file)):  # noqa: PTH110 - a Path for each of many files takes longer
            marker = Path(_path("incomplete", file))
            if not marker.exists():  # otherwise Snakemake was killed and makes it again anyway
                marker.parent.mkdir(parents=True, exist_ok=True)
                marker.write_text(_MARKER, encoding="utf-8")
                found.append(file)
    return found


def unmark(files: Iterable[str], run_folder: Path) -> None:
    """Remove the marks of these files, as a dry run does when it ends; a mark that Snakemake has replaced stays."""
    for marker in (run_folder / _path("incomplete", file) for file in files):
        if marker.is_file() and marker.read_bytes() == _MARKER.encode():
            marker.unlink()


def message(files: Sequence[str]) -> str:
    """Return the warning about files that `mark` has found."""
    others = f" and {len(files) - 1} more were" if len(files) > 1 else " was"
    return (
        f".snakemake/metadata has no record of how {files[0]}{others} made: the folder was copied without "
        ".snakemake, a power failure damaged the record, or media shared jobs before; what the run needs of them is "
        "made again; --touch keeps it as it is"
    )


def _remove_settled_marks() -> None:
    """Remove the marks of files whose record is readable again; marks by Snakemake of interrupted jobs stay."""
    for folder, _, names in os.walk(_STATE / "incomplete"):
        for marker in (Path(folder, name) for name in names):
            record = _STATE / "metadata" / marker.relative_to(_STATE / "incomplete")
            if _is_readable(str(record)) and marker.read_bytes() == _MARKER.encode():
                marker.unlink()


def _is_readable(record: str) -> bool:
    """Return whether a record is complete: a power failure leaves it empty, cut, or full of zeros."""
    try:
        with open(record, "rb") as file:  # noqa: PTH123 - as above
            begin = file.read(1)
            file.seek(-1, os.SEEK_END)
            return begin == b"{" and file.read(1) == b"}"
    except OSError:  # there is none, or it is empty
        return False


def _path(kind: str, file: str) -> str:
    """Return the path of Snakemake's entry for a file; FilePersistence of Snakemake divides long names like this."""
    name, most = base64.urlsafe_b64encode(file.encode()).decode(), _LONGEST_NAME - 1
    parts = [name[at : at + most] for at in range(0, len(name), most)]
    return "/".join((str(_STATE), kind, *(f"@{part}" for part in parts[:-1]), parts[-1]))
