"""List the pictures and videos of a folder, without opening those whose name says what they are."""

# A Path for each of 100,000 names takes longer than the listing itself.
# ruff: noqa: PTH100, PTH116, PTH118, PTH122

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from scripts.lib.display_text import printable
from scripts.lib.errors import SettingsError
from scripts.lib.folder_source.content import HEAD_BYTES, kind_by_content, kind_by_suffix
from scripts.lib.folder_source.patterns import matcher

# Ids are whole numbers that every program and JSON reader holds.
_ID_BITS = 53
_SUFFIXES_NAMED = 5


class ListedFile(NamedTuple):
    """A file that may be a picture or a video.

    Attributes:
        media_id: what results call it, by its path.
        path: below the folder, with `/` between names; bytes that are no UTF-8 stand in it as lone surrogates.
        size: bytes.
        modified_ns: when it was last changed, in nanoseconds since 1970.
    """

    media_id: int
    path: str
    size: int
    modified_ns: int


@dataclass
class LeftOut:
    """What a listing leaves out.

    Attributes:
        others: files that are neither pictures nor videos, by their suffix.
        excluded: files and folders that the patterns leave out.
        hidden: files and folders whose name begins with a dot.
        folder_links: links to folders, which are not followed.
        repeated_links: links to a file that is listed already.
        broken_links: links to nothing.
    """

    others: Counter[str] = field(default_factory=Counter)
    excluded: int = 0
    hidden: int = 0
    folder_links: int = 0
    repeated_links: int = 0
    broken_links: int = 0

    def words(self) -> list[str]:
        """Return what is left out, in words."""
        found = []
        if self.others:
            most = self.others.most_common(_SUFFIXES_NAMED)
            some = ", ".join(f"{count} {printable(suffix) or 'without a suffix'}" for suffix, count in most)
            more = ", ..." if len(self.others) > len(most) else ""
            found.append(f"{sum(self.others.values())} neither pictures nor videos ({some}{more})")
        for count, what in (
            (self.excluded, "by media.include and media.exclude"),
            (self.hidden, "hidden, as their names begin with a dot"),
            (self.folder_links, "links to folders, which are not followed"),
            (self.repeated_links, "links to files that are listed already"),
            (self.broken_links, "links to nothing"),
        ):
            found += [f"{count} {what}"] if count else []
        return found


@dataclass(frozen=True)
class Listing:
    """The files of a folder.

    Attributes:
        folder: its whole path.
        files: ordered by their paths.
        left_out: what else there is.
    """

    folder: str
    files: Sequence[ListedFile]
    left_out: LeftOut

    def words(self) -> str:
        """Return a sentence for the user."""
        left_out = "; ".join(self.left_out.words())
        return f"{printable(self.folder)}: {len(self.files)} media" + (f"; left out: {left_out}" if left_out else "")


def media_id_of(path: str) -> int:
    """Return the id of a file by its path below the folder: it stays the same whatever other files there are."""
    digest = hashlib.blake2b(os.fsencode(path), digest_size=8).digest()
    return (int.from_bytes(digest) >> (64 - _ID_BITS)) or 1


def shown_path(path: str) -> str:
    r"""Return a path as text: bytes that are no UTF-8 stand as `\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def list_folder(
    folder: Path,
    *,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    not_below: Collection[Path] = (),
) -> Listing:
    """Return the pictures and videos of a folder and of the folders in it.

    Other files, by their suffix or their first bytes, are left out and counted; so are hidden files and
    folders, and links to folders. A link to a file is followed wherever it leads, but each file is listed once.

    Args:
        folder: the folder.
        include: patterns of the files to take; without one, all.
        exclude: patterns of files and folders to leave out.
        not_below: folders to leave out, as those of the run itself.

    Raises:
        SettingsError: a folder cannot be read, or two paths have the same id.
    """
    root = os.path.abspath(folder)
    walk = _Walk(root, matcher(include) if (include := list(include)) else None, matcher(exclude), not_below)
    files = sorted(walk.files(), key=lambda file: file.path)
    _check_ids(files)
    return Listing(root, files, walk.left_out)


class _Walk:
    """Goes through a folder.

    Attributes:
        left_out: counts what is not listed.
    """

    def __init__(
        self,
        root: str,
        include: Callable[[str], bool] | None,
        exclude: Callable[[str], bool],
        not_below: Collection[Path],
    ) -> None:
        self._root, self._include, self._exclude = root, include, exclude
        self._own = {os.path.realpath(path) for path in not_below}
        self._links: list[str] = []
        self.left_out = LeftOut()

    def files(self) -> Iterator[ListedFile]:
        """Yield the files, in no order."""
        seen = set[tuple[int, int]]()
        pending = [""]
        while pending:
            below = pending.pop()
            for entry in self._entries(below):
                path = below + entry.name
                if entry.is_symlink():
                    self._links.append(path)
                elif entry.is_dir():
                    if self._enters(path + "/", entry.name):
                        pending.append(path + "/")
                elif self._takes(path, entry.name) and (state := self._state(path)) is not None:
                    seen.add((state.st_dev, state.st_ino))
                    yield self._listed(path, state)
        for path in sorted(self._links):
            if (state := self._behind_link(path)) is None:
                continue
            if (state.st_dev, state.st_ino) in seen:
                self.left_out.repeated_links += 1
            elif self._takes(path, path.rpartition("/")[2]):
                seen.add((state.st_dev, state.st_ino))
                yield self._listed(path, state)

    def _entries(self, below: str) -> list["os.DirEntry[str]"]:
        place = os.path.join(self._root, below)
        try:
            with os.scandir(place) as entries:
                return list(entries)
        except FileNotFoundError:
            if below:  # removed meanwhile
                return []
            raise SettingsError(f"media.folder: {place!r} was removed; expected a folder") from None
        except OSError as error:
            raise SettingsError(
                f"media.folder: {place!r} cannot be read ({error.strerror}); expected a readable folder: give this "
                "user the right to it, or leave it out with media.exclude"
            ) from None

    def _enters(self, path: str, name: str) -> bool:
        if name.startswith("."):
            self.left_out.hidden += 1
            return False
        if self._own and os.path.realpath(os.path.join(self._root, path)) in self._own:
            return False
        if self._exclude(path):
            self.left_out.excluded += 1
            return False
        return True

    def _takes(self, path: str, name: str) -> bool:
        if name.startswith("."):
            self.left_out.hidden += 1
            return False
        if self._exclude(path) or (self._include is not None and not self._include(path)):
            self.left_out.excluded += 1
            return False
        kind = kind_by_suffix(name) or self._kind_by_content(path) or "neither"
        if kind == "neither":
            self.left_out.others[os.path.splitext(name)[1].lower()] += 1
        return kind != "neither"

    def _kind_by_content(self, path: str) -> str | None:
        try:
            descriptor = os.open(os.path.join(self._root, path), os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait
        except OSError:
            return None
        try:
            head = os.read(descriptor, HEAD_BYTES) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return kind_by_content(head)

    def _state(self, path: str) -> os.stat_result | None:
        """Return a regular file's state; None of others, and of one that was removed meanwhile."""
        try:
            state = os.stat(os.path.join(self._root, path))
        except OSError:
            return None
        if stat.S_ISREG(state.st_mode):
            return state
        self.left_out.others["(not a file)"] += 1
        return None

    def _behind_link(self, path: str) -> os.stat_result | None:
        try:
            state = os.stat(os.path.join(self._root, path))
        except OSError:  # also a link to itself
            self.left_out.broken_links += 1
            return None
        if stat.S_ISDIR(state.st_mode):
            self.left_out.folder_links += 1
            return None
        if stat.S_ISREG(state.st_mode):
            return state
        self.left_out.others["(not a file)"] += 1
        return None

    def _listed(self, path: str, state: os.stat_result) -> ListedFile:
        return ListedFile(media_id_of(path), path, state.st_size, state.st_mtime_ns)


def _check_ids(files: Sequence[ListedFile]) -> None:
    """Refuse two files of one id.

    Raises:
        SettingsError: naming both.
    """
    by_id: dict[int, str] = {}
    for file in files:
        other = by_id.setdefault(file.media_id, file.path)
        if other != file.path:
            raise SettingsError(
                f"media.folder: the files {other!r} and {file.path!r} would both have the id {file.media_id}, by a "
                "rare chance; rename one of them, or leave it out with media.exclude"
            )
