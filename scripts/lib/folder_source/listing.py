"""List the pictures and videos of a folder; files are opened only if their suffix does not show their kind."""

# A Path for each of 100,000 names takes longer than the listing itself.
# ruff: noqa: PTH100, PTH116, PTH118, PTH122

import errno
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from scripts.lib.errors import SettingsError
from scripts.lib.folder_source.content import HEAD_BYTES, kind_by_content, kind_by_suffix
from scripts.lib.folder_source.patterns import matcher
from scripts.lib.text.display_text import printable

# The bits of an id: all programs and JSON readers can represent integers up to this size.
_ID_BITS = 53
_SUFFIXES_NAMED = 5
# Errors of a link to nothing, and of a link to itself.
_NOTHING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class ListedFile(NamedTuple):
    """A file that may be a picture or a video.

    Attributes:
        media_id: the id of the file in results, a hash of its path.
        path: the path below the folder, with `/` between names; bytes that are not UTF-8 are lone surrogates.
        size: number of bytes.
        modified_ns: time of the last change, in nanoseconds since 1970.
    """

    media_id: int
    path: str
    size: int
    modified_ns: int


@dataclass
class LeftOut:
    """Numbers of files and folders that a listing leaves out.

    Attributes:
        others: files that are neither pictures nor videos, by their suffix.
        excluded: files and folders that the patterns exclude.
        hidden: files and folders whose names begin with a dot.
        folder_links: links to folders, which are not followed.
        repeated_links: links to a file that is listed already.
        broken_links: links to nothing.
        unreadable: links and files of unknown suffix that cannot be read.
    """

    others: Counter[str] = field(default_factory=Counter)
    excluded: int = 0
    hidden: int = 0
    folder_links: int = 0
    repeated_links: int = 0
    broken_links: int = 0
    unreadable: int = 0

    def descriptions(self) -> list[str]:
        """Return a text for each group of files that is left out."""
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
            (self.unreadable, "that cannot be read: give this user the right to them"),
        ):
            found += [f"{count} {what}"] if count else []
        return found


@dataclass(frozen=True)
class Listing:
    """The files of a folder.

    Attributes:
        folder: the folder's absolute path.
        files: the files, sorted by their paths.
        left_out: the numbers of other files and folders.
    """

    folder: str
    files: Sequence[ListedFile]
    left_out: LeftOut

    def description(self) -> str:
        """Return a message for the user: the folder, the number of media, and what is left out."""
        left_out = "; ".join(self.left_out.descriptions())
        return f"{printable(self.folder)}: {len(self.files)} media" + (f"; left out: {left_out}" if left_out else "")


def media_id_of(path: str) -> int:
    """Return the id of a file, which depends only on its path below the folder."""
    digest = hashlib.blake2b(os.fsencode(path), digest_size=8).digest()
    return (int.from_bytes(digest) >> (64 - _ID_BITS)) or 1


def shown_path(path: str) -> str:
    r"""Return a path as text, with `\xNN` for bytes that are not UTF-8."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def list_folder(
    folder: Path,
    *,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    not_below: Collection[Path] = (),
) -> Listing:
    """Return the pictures and videos of a folder and of the folders in it.

    Other files, recognized by their suffix or their first bytes, are left out and counted, as are hidden files and
    folders, and links to folders. Links to files are followed to any place, but each file is listed once.

    Args:
        folder: the folder.
        include: patterns of the files to include; without patterns, all files.
        exclude: patterns of files and folders to leave out.
        not_below: folders to leave out, such as those that the run writes.

    Raises:
        SettingsError: a folder or a file in it cannot be read, or two paths have the same id.
    """
    root = os.path.abspath(folder)
    walk = _Walk(root, matcher(include) if (include := list(include)) else None, matcher(exclude), not_below)
    files = sorted(walk.files(), key=lambda file: file.path)
    _check_ids(files)
    return Listing(root, files, walk.left_out)


class _Walk:
    """Walks through a folder and its sub-folders.

    Attributes:
        left_out: the numbers of files and folders that are not listed.
    """

    def __init__(
        self,
        root: str,
        include: Callable[[str], bool] | None,
        exclude: Callable[[str], bool],
        not_below: Collection[Path],
    ) -> None:
        self._root, self._include, self._exclude = root, include, exclude
        self._not_below = {os.path.realpath(path) for path in not_below}
        self._links: list[str] = []
        self.left_out = LeftOut()

    def files(self) -> Iterator[ListedFile]:
        """Yield the files, in any order."""
        seen = set[tuple[int, int]]()
        pending = [""]
        while pending:
            folder = pending.pop()
            for entry in self._entries(folder):
                path = folder + entry.name
                if entry.is_symlink():
                    self._links.append(path)
                elif entry.is_dir():
                    if self._is_folder_included(path + "/", entry.name):
                        pending.append(path + "/")
                elif self._is_included(path, entry.name) and (state := self._state(path)) is not None:
                    seen.add((state.st_dev, state.st_ino))
                    yield self._listed(path, state)
        for path in sorted(self._links):
            if (state := self._link_target(path)) is None:
                continue
            if (state.st_dev, state.st_ino) in seen:
                self.left_out.repeated_links += 1
            elif self._is_included(path, path.rpartition("/")[2]):
                seen.add((state.st_dev, state.st_ino))
                yield self._listed(path, state)

    def _entries(self, folder: str) -> list["os.DirEntry[str]"]:
        path = os.path.join(self._root, folder)
        try:
            with os.scandir(path) as entries:
                return list(entries)
        except FileNotFoundError:
            if folder:  # removed in the meantime
                return []
            raise SettingsError(f"media.folder: {path!r} was removed; expected a folder") from None
        except OSError as error:
            raise _unreadable(path, error) from None

    def _is_folder_included(self, path: str, name: str) -> bool:
        if name.startswith("."):
            self.left_out.hidden += 1
            return False
        if self._not_below and os.path.realpath(os.path.join(self._root, path)) in self._not_below:
            return False
        if self._exclude(path):
            self.left_out.excluded += 1
            return False
        return True

    def _is_included(self, path: str, name: str) -> bool:
        if name.startswith("."):
            self.left_out.hidden += 1
            return False
        if self._exclude(path) or (self._include is not None and not self._include(path)):
            self.left_out.excluded += 1
            return False
        try:
            kind = kind_by_suffix(name) or kind_by_content(self._head(path)) or "neither"
        except FileNotFoundError:  # removed in the meantime
            return False
        except OSError:
            self.left_out.unreadable += 1
            return False
        if kind == "neither":
            self.left_out.others[os.path.splitext(name)[1].lower()] += 1
        return kind != "neither"

    def _head(self, path: str) -> bytes:
        """Return the first bytes of a file; none if it is not a regular file.

        Raises:
            OSError: the file cannot be read.
        """
        whole = os.path.join(self._root, path)
        if not stat.S_ISREG(os.stat(whole).st_mode):
            return b""
        descriptor = os.open(whole, os.O_RDONLY)
        try:
            return os.read(descriptor, HEAD_BYTES)
        finally:
            os.close(descriptor)

    def _state(self, path: str) -> os.stat_result | None:
        """Return a regular file's state; None if it is not a regular file, or was removed in the meantime.

        Raises:
            SettingsError: it cannot be read, as its folder does not let this user.
        """
        try:
            state = os.stat(os.path.join(self._root, path))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(os.path.join(self._root, path), error) from None
        if stat.S_ISREG(state.st_mode):
            return state
        self.left_out.others["(not a file)"] += 1
        return None

    def _link_target(self, path: str) -> os.stat_result | None:
        """Return the state of the regular file that a link leads to; None if it leads to anything else."""
        try:
            state = os.stat(os.path.join(self._root, path))
        except OSError as error:
            if error.errno in _NOTHING:
                self.left_out.broken_links += 1
            else:
                self.left_out.unreadable += 1
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


def _unreadable(path: str, error: OSError) -> SettingsError:
    return SettingsError(
        f"media.folder: {path!r} cannot be read ({error.strerror}); expected readable files and folders: give this "
        "user the right to it and its folder, or leave it out with media.exclude"
    )


def _check_ids(files: Sequence[ListedFile]) -> None:
    """Check that no two files have the same id.

    Raises:
        SettingsError: two files have the same id.
    """
    by_id: dict[int, str] = {}
    for file in files:
        other = by_id.setdefault(file.media_id, file.path)
        if other != file.path:
            raise SettingsError(
                f"media.folder: the files {other!r} and {file.path!r} would both have the id {file.media_id}, by a "
                "rare chance; rename one of them, or leave it out with media.exclude"
            )
