"""The listing that a run works with: written when the run begins, and read by all its jobs.

A job reads the workflow's files again, maybe much later and on another machine: what it finds has to be what the run
was planned with. The run's folder keeps the listing of the last run, so that the next one can say which files are gone.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.lib.display_text import printable, shown
from scripts.lib.errors import PipelineError, SettingsError
from scripts.lib.files import replacing
from scripts.lib.folder_source.listing import LeftOut, ListedFile, Listing, list_folder
from scripts.lib.workflow import local_files

LISTING = Path("resources/folder/listing.jsonl")
# Folders that a run makes, which may lie in the folder that it reads.
_OWN = ("results", "resources", "logs")
# The files of a media in results, and where they wait for the media to come back.
_RESULTS = ("detections/{}.csv", "detections/{}.json", "previews/{}.zip", "uploads/{}.json", "crops/{}")
_GONE = Path("resources/folder/gone")
_NAMED = 5


def list_for_run(media: Mapping[str, Any], run_folder: Path) -> Listing:
    """Return the files of the folder that the settings name.

    Args:
        media: the section of the settings.
        run_folder: what relative names count from.

    Raises:
        SettingsError: there is no such folder, it cannot be read, or holds no media.
    """
    folder = media["folder"]
    if problem := local_files.problem(folder, is_folder=True):
        raise SettingsError(f"media.folder: {shown(folder)} {problem}")
    listing = list_folder(
        Path(folder),
        include=media["include"],
        exclude=media["exclude"],
        not_below=[run_folder / name for name in _OWN],
    )
    if not listing.files:
        raise SettingsError(f"media.folder: no media to work on; expected pictures or videos; {listing.words()}")
    return listing


def is_away(settings: Mapping[str, Any], run_folder: Path) -> bool:
    """Say whether the folder is not here, and a run that was made where it is has its boxes to be put into Tator.

    Args:
        settings: of the run.
        run_folder: the run's.
    """
    folder = settings["media"]["folder"]
    is_matched = bool(folder) and settings["upload"]["match"] is not None
    return is_matched and not os.path.lexists(run_folder / folder) and (run_folder / LISTING).exists()


def away(folder: str) -> str:
    """Return a sentence for the user on a folder that is away."""
    return f"media.folder: {printable(folder)} is not here; the boxes that were found in it before go to Tator"


def detected_before(folder: str, run_folder: Path) -> Listing:
    """Return the listing of the run before.

    Args:
        folder: the folder that is away.
        run_folder: the run's.

    Raises:
        SettingsError: not all of its media were detected in.
    """
    listing = read_listing(run_folder / LISTING)
    outcomes = {name for name in os.listdir(run_folder / "results" / "detections") if name.endswith(".json")}  # noqa: PTH208
    left = [file.path for file in listing.files if f"{file.media_id}.json" not in outcomes]
    if left:
        raise SettingsError(
            f"media.folder: {shown(folder)} does not exist, and {len(left)} of its {len(listing.files)} media were not "
            f"detected in yet ({printable(left[0])}); expected the folder, to do these first"
        )
    return listing


def begin(listing: Listing, run_folder: Path) -> list[str]:
    """Write a run's listing; put the results of files that are gone aside, and those of files that came back in place.

    Only while no other run is at work in the folder.

    Args:
        listing: what this run works with.
        run_folder: the run's.

    Returns:
        sentences for the user.
    """
    path = run_folder / LISTING
    before = {file.media_id: file for file in read_listing(path).files} if path.exists() else {}
    now = {file.media_id for file in listing.files}
    gone = [file for media_id, file in before.items() if media_id not in now]
    for file in gone:
        _move(file.media_id, run_folder / "results", run_folder / _GONE)
    for media_id in now - before.keys() if (run_folder / _GONE).exists() else ():
        _move(media_id, run_folder / _GONE, run_folder / "results")
    write_listing(path, listing)
    if not gone:
        return []
    names = ", ".join(printable(file.path) for file in gone[:_NAMED])
    more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
    what = "1 file of the last run is" if len(gone) == 1 else f"{len(gone)} files of the last run are"
    return [
        f"{what} gone from media.folder: {names}{more}. Their boxes leave the results; they wait in {_GONE}/ for the "
        "files to come back"
    ]


def _move(media_id: int, source: Path, target: Path) -> None:
    for pattern in _RESULTS:
        name = pattern.format(media_id)
        if (source / name).exists() and not (target / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).rename(target / name)


def write_listing(path: Path, listing: Listing) -> None:
    """Write a listing, a line of JSON a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as stream:
        stream.write(json.dumps({"folder": listing.folder, "files": len(listing.files)}) + "\n")
        stream.writelines(json.dumps(file) + "\n" for file in listing.files)


def read_listing(path: Path) -> Listing:
    """Return what `write_listing` wrote, less what was left out.

    Raises:
        PipelineError: it is not there.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            folder = json.loads(stream.readline())["folder"]
            return Listing(folder, [ListedFile(*json.loads(line)) for line in stream], LeftOut())
    except FileNotFoundError:
        raise PipelineError(f"{path}: it is gone; expected the listing of this run: start the run again") from None


def digest(files: Iterable[ListedFile]) -> str:
    """Return a hash of files' paths, sizes and times, which changes when any of them does."""
    found = hashlib.blake2b(digest_size=16)
    for file in files:
        found.update(os.fsencode(f"{file.path}\0{file.size}\0{file.modified_ns}\0"))
    return found.hexdigest()


def of_media(listing: Listing, media_ids: Iterable[int]) -> Iterator[ListedFile]:
    """Yield the files of media, in the order asked for.

    Raises:
        PipelineError: the listing has none of that id.
    """
    by_id = {file.media_id: file for file in listing.files}
    for media_id in media_ids:
        if media_id not in by_id:
            raise PipelineError(f"{listing.folder}: no file has the id {media_id} by now; start the run again")
        yield by_id[media_id]
