"""Write and read the listing of a run: it is written when the run begins, and read by all its jobs.

A job reads the workflow's files again, maybe much later and on another machine, and needs the same list of files with
which the run was planned. The run's folder keeps the listing of the last run, so that the next one can report which
files are missing.
"""

import hashlib
import json
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from scripts.lib.errors import PipelineError, SettingsError
from scripts.lib.files import replacing
from scripts.lib.folder_source.listing import LeftOut, ListedFile, Listing, list_folder
from scripts.lib.text.display_text import printable, shown
from scripts.lib.workflow.configuration import local_files
from scripts.lib.workflow.planning.sub_folders import file_of

LISTING = Path("resources/folder/listing.jsonl")
# Folders that a run makes, which may be in the folder that it reads.
_RUN_FOLDERS = ("results", "resources", "logs")
# The files of a media in results, and the folder to which they are moved while the media is missing.
_RESULTS = (
    *("detections/{media_id}.csv", "detections/{media_id}.json", "previews/{media_id}.zip", "uploads/{media_id}.json"),
    *("tracks/{media_id}.csv", "tracks/{media_id}.json", "crops/{media_id}"),
)
_GONE = Path("resources/folder/gone")
_NAMED = 5


def list_for_run(media: Mapping[str, Any], run_folder: Path) -> Listing:
    """Return the files of the folder that the settings name.

    Args:
        media: the section `media` of the settings.
        run_folder: the folder of the run, which contains the folders that it writes.

    Raises:
        SettingsError: the folder does not exist, cannot be read, or contains no media.
    """
    folder = media["folder"]
    if problem := local_files.problem(folder, is_folder=True):
        raise SettingsError(f"media.folder: {shown(folder)} {problem}")
    listing = list_folder(
        Path(folder),
        include=media["include"],
        exclude=media["exclude"],
        not_below=[run_folder / name for name in _RUN_FOLDERS],
    )
    if not listing.files:
        raise SettingsError(f"media.folder: no media to work on; expected pictures or videos; {listing.description()}")
    return listing


def is_away(settings: Mapping[str, Any], run_folder: Path) -> bool:
    """Return whether the folder is missing and only the boxes that an earlier run found in it are to be uploaded.

    Args:
        settings: the settings of the run.
        run_folder: the run's folder.
    """
    folder = settings["media"]["folder"]
    is_matched = bool(folder) and settings["upload"]["match"] is not None
    return is_matched and not os.path.lexists(run_folder / folder) and (run_folder / LISTING).exists()


def away_message(folder: str) -> str:
    """Return a message for the user about a missing folder."""
    return f"media.folder: {printable(folder)} does not exist; only boxes found earlier are uploaded"


def last_listing(folder: str, run_folder: Path) -> Listing:
    """Return the listing of the last run.

    Args:
        folder: the missing folder.
        run_folder: the run's folder.

    Raises:
        SettingsError: detection in some of its media was not finished.
    """
    listing = read_listing(run_folder / LISTING)
    outcome = str(run_folder / "results/detections/{media_id}.json")
    left = [
        file.path
        for file in listing.files
        if not any(os.path.exists(file_of(outcome, file.media_id, in_folders=flag)) for flag in (False, True))  # noqa: PTH110
    ]
    if left:
        raise SettingsError(
            f"media.folder: {shown(folder)} does not exist, and {len(left)} of its {len(listing.files)} media were not "
            f"detected in yet ({printable(left[0])}); expected the folder, to do these first"
        )
    return listing


def begin(listing: Listing, run_folder: Path) -> list[str]:
    """Write a run's listing, and move results of missing files out of the results, and those of found files back.

    Call it only while no other run works in the folder.

    Args:
        listing: the listing of this run.
        run_folder: the run's folder.

    Returns:
        Messages for the user.
    """
    path = run_folder / LISTING
    before = {file.media_id: file for file in read_listing(path).files} if path.exists() else {}
    now = {file.media_id for file in listing.files}
    gone = [file for media_id, file in before.items() if media_id not in now]
    for file in gone:
        _move(file.media_id, run_folder / "results", run_folder / _GONE)
    for media_id in (now - before.keys()) & _media_in(run_folder / _GONE):
        _move(media_id, run_folder / _GONE, run_folder / "results")
    write_listing(path, listing)
    if not gone:
        return []
    names = ", ".join(printable(file.path) for file in gone[:_NAMED])
    more = f" and {len(gone) - _NAMED} more" if len(gone) > _NAMED else ""
    what = "1 file of the last run is" if len(gone) == 1 else f"{len(gone)} files of the last run are"
    return [
        f"{what} not used any more (gone, or left out by media.include, media.exclude): {names}{more}. Their boxes are "
        f"moved from the results to {_GONE}/, and back if the files return"
    ]


def _media_in(folder: Path) -> set[int]:
    """Return at least the media with results in a folder: looking for each of 100,000 media takes 13 seconds."""
    names = (name for _, folders, files in os.walk(folder) for name in (*folders, *files))
    return {int(stem) for name in names if (stem := name.partition(".")[0]).isdecimal()}


def _move(media_id: int, source: Path, target: Path) -> None:
    for pattern in _RESULTS:
        for in_folders in (False, True):
            name = file_of(pattern, media_id, in_folders=in_folders)
            if (source / name).exists() and not (target / name).exists():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).rename(target / name)


def write_listing(path: Path, listing: Listing) -> None:
    """Write a listing, a line of JSON for each file, and the same sorted by ids, for jobs that read a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as stream:
        stream.write(json.dumps({"folder": listing.folder, "files": len(listing.files)}) + "\n")
        stream.writelines(json.dumps(file) + "\n" for file in listing.files)
    with replacing(_by_id(path)) as stream:
        stream.writelines(json.dumps(file) + "\n" for file in sorted(listing.files))


def _by_id(path: Path) -> Path:
    return path.with_name(f"{path.stem}.by_id.jsonl")


def read_part(path: Path, media_ids: Sequence[int]) -> list[ListedFile]:
    """Return the listed files of these ids, in the order of the ids.

    A file that is sorted by ids is read from the first of these ids to the last. The media that share a job are next to
    each other in it, so in a run of a million media a job reads no more than in a run of a thousand.

    Args:
        path: the listing.
        media_ids: the media.

    Raises:
        PipelineError: the listing is missing, or has no file of one of the ids.
    """
    if not media_ids:
        return []
    first, last = min(media_ids), max(media_ids)
    found: dict[int, ListedFile] = {}
    try:
        with _by_id(path).open("rb") as stream:
            _seek(stream, first)
            for line in stream:
                file = ListedFile(*json.loads(line))
                if file.media_id > last:
                    break
                found[file.media_id] = file
    except FileNotFoundError:
        raise PipelineError(f"{path}: it is missing; expected the listing of this run: start the run again") from None
    for media_id in media_ids:
        if media_id not in found:
            raise PipelineError(f"{path}: no file has the id {media_id} any more; start the run again")
    return [found[media_id] for media_id in media_ids]


def _seek(stream: IO[bytes], media_id: int) -> None:
    """Move to the first line of this id or a greater one, by bisection."""
    low, high = 0, stream.seek(0, os.SEEK_END)
    while low < high:
        middle = (low + high) // 2
        stream.seek(middle)
        if middle:
            stream.readline()  # the rest of a line
        line = stream.readline()
        if line and json.loads(line)[0] < media_id:
            low = middle + 1
        else:
            high = middle
    stream.seek(low)
    if low:
        stream.readline()


def read_listing(path: Path) -> Listing:
    """Return the listing that `write_listing` wrote, without the numbers of files that were left out.

    Raises:
        PipelineError: the file does not exist, or was cut.
    """
    with _opened(path) as stream:
        try:
            folder = json.loads(stream.readline())["folder"]
            return Listing(folder, [ListedFile(*json.loads(line)) for line in stream], LeftOut())
        except (ValueError, TypeError, KeyError) as error:
            raise PipelineError(
                f"{path}: it is not a listing of files ({error}); remove the file, and make it again by the same "
                "command"
            ) from None


def each_file(listing: Path = LISTING) -> Iterator[ListedFile]:
    """Yield a listing's files, in its order.

    Raises:
        PipelineError: the listing does not exist.
    """
    with _opened(listing) as stream:
        stream.readline()
        for line in stream:
            yield ListedFile(*json.loads(line))


def media_ids_of(listing: Path = LISTING) -> "array[int]":
    """Return the numbers of a listing's media, in its order."""
    return array("q", (file.media_id for file in each_file(listing)))


def _opened(path: Path) -> IO[str]:
    try:
        return path.open(encoding="utf-8")
    except FileNotFoundError:
        raise PipelineError(f"{path}: it is missing; expected the listing of this run: start the run again") from None


def digest(files: Iterable[ListedFile]) -> str:
    """Return a hash of files' paths, sizes and times, which changes when any of them does."""
    found = hashlib.blake2b(digest_size=16)
    for file in files:
        found.update(os.fsencode(f"{file.path}\0{file.size}\0{file.modified_ns}\0"))
    return found.hexdigest()


def of_media(listing: Path, media_ids: Iterable[int]) -> Iterator[ListedFile]:
    """Yield the files of media, given in the listing's order, with constant memory.

    Raises:
        PipelineError: the listing is missing, or has no file of an id, or not in this order.
    """
    files = each_file(listing)
    for media_id in media_ids:
        file = next((file for file in files if file.media_id == media_id), None)
        if file is None:
            raise PipelineError(f"{listing}: no file has the id {media_id} any more; start the run again")
        yield file
