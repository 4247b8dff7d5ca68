"""Files of single media that Snakemake does not know, as they lie behind a shared job's one file of hashes."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

from scripts.lib.folder_source.run_listing import media_ids_of
from scripts.lib.workflow.batches import EVERY_FILE_OF_EACH_MEDIA
from scripts.lib.workflow.sub_folders import file_of, is_sub_folder, sub_folder

# Parameters of a rule that name such files: which (names of EVERY_FILE_OF_EACH_MEDIA), of which media, and those that
# the job makes. Without numbers it is those of all media, in the run's order.
NAMES, NUMBERS, MADE = "of_media", "job_media_ids", "made_of_media"
# Whether they lie in sub-folders; only there where they do.
IN_FOLDERS = "in_folders"
# More media than this get sub-folders: results/detections/ has two files of each, and 10,000 entries are enough.
MOST_IN_A_FOLDER = 5_000


Kind = TypeVar("Kind")


class FilesOfMedia(Sequence[Kind]):  # noqa: PLW1641 - as lists, which have no hash either
    """The files of some media, each made when it is asked for: lists of a hundred thousand paths take 50 MB each."""

    def __init__(
        self, pattern: str, media_ids: Sequence[int], kind: Callable[[str], Kind], *, in_folders: bool
    ) -> None:
        """Name the files; the arguments are those of `file_of`, and `kind` makes of a path what is given out."""
        self._pattern, self._media_ids, self._kind, self._in_folders = pattern, media_ids, kind, in_folders

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._media_ids)

    @overload
    def __getitem__(self, at: int) -> Kind: ...

    @overload
    def __getitem__(self, at: slice) -> "FilesOfMedia[Kind]": ...

    def __getitem__(self, at: int | slice) -> "Kind | FilesOfMedia[Kind]":
        """Return one file, or some."""
        if isinstance(at, slice):
            return FilesOfMedia(self._pattern, self._media_ids[at], self._kind, in_folders=self._in_folders)
        return self._kind(file_of(self._pattern, self._media_ids[at], in_folders=self._in_folders))

    def __iter__(self) -> Iterator[Kind]:
        """Yield each file."""
        for media_id in self._media_ids:
            yield self._kind(file_of(self._pattern, media_id, in_folders=self._in_folders))

    def __eq__(self, other: object) -> bool:
        """Say whether another list has the same files."""
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    @property
    def paths(self) -> "FilesOfMedia[Path]":
        """The same as paths."""
        return FilesOfMedia(self._pattern, self._media_ids, Path, in_folders=self._in_folders)


def named(params: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, FilesOfMedia[str]]:
    """Return the files that a job's parameters name, by the names of its arguments.

    Args:
        params: the job's.
        config: the run's settings, for the numbers of all media.
    """
    names = _as_list(params.get(NAMES, ()))
    if not names:
        return {}
    numbers = _as_list(params[NUMBERS]) if NUMBERS in params else _of_the_run(config)
    in_folders = bool(params.get(IN_FOLDERS))
    return {
        name: FilesOfMedia(EVERY_FILE_OF_EACH_MEDIA[name][0], numbers, str, in_folders=in_folders) for name in names
    }


def made_in(params: Mapping[str, Any]) -> set[Path]:
    """Return the folders into which a job writes such files."""
    return {Path(EVERY_FILE_OF_EACH_MEDIA[name][0]).parent for name in _as_list(params.get(MADE, ()))}


def make_folders(params: Mapping[str, Any]) -> None:
    """Make the folders into which a job writes such files, with their sub-folders."""
    numbers = _as_list(params.get(NUMBERS, ())) if params.get(IN_FOLDERS) else []
    for folder in made_in(params):
        folder.mkdir(parents=True, exist_ok=True)
        for name in {sub_folder(media_id) for media_id in numbers}:
            (folder / name).mkdir(exist_ok=True)


def move(run_folder: Path, *, in_folders: bool) -> int:
    """Put files of single media where this run has them, those of media that it no longer has as well.

    A run that grows beyond MOST_IN_A_FOLDER media has them in sub-folders, and one that shrinks no longer.

    Args:
        run_folder: the run's.
        in_folders: whether files lie in sub-folders.

    Returns:
        How many files were moved.
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
    """Remove the hashes of shared jobs, and the records of media behind them; say whether there were any.

    So that rules for single media make these again: without what Snakemake notes of an output they would be taken for
    what these rules made, however old they are.

    Args:
        run_folder: the run's.
    """
    batches = run_folder / "resources" / "batches"
    if not batches.is_dir():
        return False
    for record in (run_folder / "resources" / "records").rglob("*.json"):
        record.unlink()
    shutil.rmtree(batches)  # last, as it says that this is to be done
    return True


def _number(name: str) -> int | None:
    """Return the number that a media's file is named by; None for other files."""
    stem, _, suffix = name.partition(".")
    return int(stem) if stem.isascii() and stem.isdigit() and suffix in ("csv", "json", "zip") else None


def _of_the_run(config: Mapping[str, Any]) -> Sequence[int]:
    if config["media"]["folder"]:
        return media_ids_of()
    media_ids: list[int] = config["tator"]["media_ids"]
    return media_ids


def _as_list(value: Any) -> list[Any]:
    """Return a list; Snakemake unpacks a list of one."""
    return list(value) if isinstance(value, list | tuple) else [value] if value != () else []
