"""Files of single media that Snakemake does not know, since a shared job's only output is a file of hashes."""

import base64
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

from scripts.lib.folder_source.run_listing import media_ids_of
from scripts.lib.workflow.planning.batches import EVERY_FILE_OF_EACH_MEDIA, UPLOAD_CACHES
from scripts.lib.workflow.planning.sub_folders import file_of, is_sub_folder, sub_folder

# Parameters of a rule that name such files: the kinds of files (names of EVERY_FILE_OF_EACH_MEDIA), the numbers of the
# media, and the kinds that the job makes. Without numbers the files are those of all media, in the run's order.
NAMES, NUMBERS, MADE = "of_media", "job_media_ids", "made_of_media"
# The parameter that is set if the files are in sub-folders.
IN_FOLDERS = "in_folders"
# A run of more media has sub-folders: results/detections/ has two files of each media, and 10,000 entries are enough.
MOST_IN_A_FOLDER = 5_000


Kind = TypeVar("Kind")


class FilesOfMedia(Sequence[Kind]):  # noqa: PLW1641 - as lists, which have no hash either
    """The paths of some media's files, each computed on access: a list of a hundred thousand paths needs 50 MB."""

    def __init__(
        self, pattern: str, media_ids: Sequence[int], kind: Callable[[str], Kind], *, in_folders: bool
    ) -> None:
        """Store the arguments of `file_of`, and the function that converts each path."""
        self._pattern, self._media_ids, self._kind, self._in_folders = pattern, media_ids, kind, in_folders

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self._media_ids)

    @overload
    def __getitem__(self, at: int) -> Kind: ...

    @overload
    def __getitem__(self, at: slice) -> "FilesOfMedia[Kind]": ...

    def __getitem__(self, at: int | slice) -> "Kind | FilesOfMedia[Kind]":
        """Return one file, or a slice of the files."""
        if isinstance(at, slice):
            return FilesOfMedia(self._pattern, self._media_ids[at], self._kind, in_folders=self._in_folders)
        return self._kind(file_of(self._pattern, self._media_ids[at], in_folders=self._in_folders))

    def __iter__(self) -> Iterator[Kind]:
        """Yield each file."""
        for media_id in self._media_ids:
            yield self._kind(file_of(self._pattern, media_id, in_folders=self._in_folders))

    def __eq__(self, other: object) -> bool:
        """Return whether another list has the same files."""
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    @property
    def paths(self) -> "FilesOfMedia[Path]":
        """The same files as Path objects."""
        return FilesOfMedia(self._pattern, self._media_ids, Path, in_folders=self._in_folders)


def named(params: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, FilesOfMedia[str]]:
    """Return the files that a job's parameters name, by argument name.

    Args:
        params: the job's parameters.
        config: the run's settings, for the numbers of all media.
    """
    names = _as_list(params.get(NAMES, ()))
    if not names:
        return {}
    numbers = _as_list(params[NUMBERS]) if NUMBERS in params else _all_media_ids(config)
    in_folders = bool(params.get(IN_FOLDERS))
    return {
        name: FilesOfMedia(EVERY_FILE_OF_EACH_MEDIA[name][0], numbers, str, in_folders=in_folders) for name in names
    }


def output_folders(params: Mapping[str, Any]) -> set[Path]:
    """Return the folders into which a job writes such files."""
    return {Path(EVERY_FILE_OF_EACH_MEDIA[name][0]).parent for name in _as_list(params.get(MADE, ()))}


def make_folders(params: Mapping[str, Any]) -> None:
    """Make the folders into which a job writes such files, with their sub-folders."""
    numbers = _as_list(params.get(NUMBERS, ())) if params.get(IN_FOLDERS) else []
    for folder in output_folders(params):
        folder.mkdir(parents=True, exist_ok=True)
        for name in {sub_folder(media_id) for media_id in numbers}:
            (folder / name).mkdir(exist_ok=True)


def move(run_folder: Path, *, in_folders: bool) -> int:
    """Move files of single media into or out of sub-folders, including those of media that the run no longer has.

    A run that grows beyond MOST_IN_A_FOLDER media has them in sub-folders, and one that shrinks does not any more.

    Args:
        run_folder: the run's folder.
        in_folders: whether files are in sub-folders in this run.

    Returns:
        The number of files that were moved.
    """
    moved = 0
    for folder in {Path(pattern).parent for pattern, _ in EVERY_FILE_OF_EACH_MEDIA.values()}:
        place = run_folder / folder
        if not place.is_dir():
            continue
        for name in os.listdir(place):  # noqa: PTH208 - a Path for each of many names takes longer than the listing
            if in_folders and (media_id := _number(name)) is not None and (place / name).is_file():
                (place / sub_folder(media_id)).mkdir(exist_ok=True)
                (place / name).rename(place / sub_folder(media_id) / name)
                moved += 1
            elif not in_folders and is_sub_folder(name) and (place / name).is_dir():
                for path in (place / name).iterdir():
                    path.rename(place / path.name)
                    moved += 1
                (place / name).rmdir()
    return moved


def forget_shared_jobs(run_folder: Path) -> bool:
    """Remove the hashes of shared jobs, their records of media and cached uploads; return whether there were any.

    Rules for single media then make the records again, and all files that are older. Snakemake's metadata of these
    files is removed too: it has none of files of shared jobs, and that of an earlier run without them may fit again.

    Args:
        run_folder: the run's folder.
    """
    batches = run_folder / "resources" / "batches"
    if not batches.is_dir():
        return False
    _forget_metadata(run_folder)
    for record in (run_folder / "resources" / "records").rglob("*.json"):
        record.unlink()
    for cache in UPLOAD_CACHES:  # jobs of single media do not update them
        shutil.rmtree(run_folder / cache, ignore_errors=True)
    shutil.rmtree(batches)  # last, so that a killed run continues here
    return True


def _forget_metadata(run_folder: Path) -> None:
    """Remove Snakemake's metadata of the files of all media, whose names are the files' paths in Base64."""
    folders = {Path(pattern).parent for pattern, _ in EVERY_FILE_OF_EACH_MEDIA.values()}
    metadata = run_folder / ".snakemake" / "metadata"
    for entry in metadata.rglob("*"):
        parts = entry.relative_to(metadata).parts
        try:
            file = Path(os.fsdecode(base64.urlsafe_b64decode("".join(part.removeprefix("@") for part in parts))))
        except ValueError:
            continue
        if _number(file.name) is not None and not folders.isdisjoint(file.parents):
            entry.unlink()


def _number(name: str) -> int | None:
    """Return the media's number in a file's name; None for other files."""
    stem, _, suffix = name.partition(".")
    return int(stem) if stem.isascii() and stem.isdigit() and suffix in ("csv", "json", "zip") else None


def _all_media_ids(config: Mapping[str, Any]) -> Sequence[int]:
    if config["media"]["folder"]:
        return media_ids_of()
    media_ids: list[int] = config["tator"]["media_ids"]
    return media_ids


def _as_list(value: Any) -> list[Any]:
    """Return a value as a list, as Snakemake passes a list of one entry as that entry."""
    return list(value) if isinstance(value, list | tuple) else [value] if value != () else []
