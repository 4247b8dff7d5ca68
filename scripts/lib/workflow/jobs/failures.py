"""Handle failed media: the state `failed`, and the notes that make the next run try them again.

A job that records the state `failed` for a media also writes a note that names its files for that media; resolve_media
does so for each state that a change in Tator may end. When the run has ended, or when the next one begins after a run
that was killed, these files are removed, so that Snakemake makes only them again.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from scripts.lib.errors import MediaFault, PipelineError
from scripts.lib.files import is_below, write_json
from scripts.lib.network_access.token import redact
from scripts.lib.records.record_files import read_content
from scripts.lib.workflow.planning.sub_folders import sub_folder

NOTES = Path("resources/failed")
_LONGEST_REASON = 400


def as_fault(error: BaseException) -> MediaFault:
    """Return the fault to record for an exception that concerns this media only; see errors.of_one_media."""
    if isinstance(error, MediaFault):
        return error
    if isinstance(error, PipelineError):
        return MediaFault("failed", _brief(str(error)))
    if isinstance(error, MemoryError):
        return MediaFault("failed", "it needs more memory than its job has; give the job more (mem_mb)")
    description = _brief(f"{type(error).__name__}: {error}".rstrip(": "))
    return MediaFault("failed", f"an unexpected error, {description}; the log of its job has the details")


def _brief(text: str) -> str:
    line = " ".join(redact(text[:10_000]).split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]} ..."


def note(media_id: int, files: Iterable[Path]) -> None:
    """Write a note that a media is to be tried again.

    Args:
        media_id: the media.
        files: the job's files for the media, below the current folder.
    """
    names = [os.path.relpath(path) for path in files]
    folder = Path(names[0]).parent
    step = folder.parent.name if folder.name == sub_folder(media_id) else folder.name
    NOTES.mkdir(parents=True, exist_ok=True)
    write_json(NOTES / f"{media_id}.{step}.json", names)


def forget(folder: Path) -> list[str]:
    """Remove the files that the notes in a run's folder name, and the notes; return the removed files.

    Call it only while no job runs that may read them.

    Raises:
        PipelineError: a note is not JSON.
    """
    removed = []
    for path_of_note in sorted((folder / NOTES).glob("*.json")):
        names: list[str] = read_content(path_of_note)
        for name in names:
            path = folder / name
            if is_below(path, folder) and path.is_file():
                path.unlink()
                removed.append(name)
        path_of_note.unlink()
    return removed


def is_locked(folder: Path) -> bool:
    """Return whether the folder has a lock: of a run that is working there, or of one that was killed."""
    return any((folder / ".snakemake" / "locks").glob("*"))
