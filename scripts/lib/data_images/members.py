"""Read the network's files from a tar archive that is not trusted.

Only the file names in `LARGEST`, in the folder `network`, are ever written, into a folder of the caller: no other
name, link or device in the archive is created in the file system.
"""

import os
import tarfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import IO, cast

from scripts.lib.errors import GraphError

FOLDER = "network"
# The largest size of each file. Both kinds of graph are protobuf messages, which cannot be larger than 2 GiB.
LARGEST = {
    "graph.pb": 2**31 - 1,
    "graph.onnx": 2**31 - 1,
    "graph.onnx.data": 2**31 - 1,
    "graph.onnx_data": 2**31 - 1,
    "graph.xml": 2**26,
    "graph.bin": 2**31 - 1,
    "train.ini": 2**20,
    "names.txt": 2**20,
    "data.yaml": 2**20,
    "categories.json": 2**20,
    "metadata.yaml": 2**20,
    "config.json": 2**20,
    "preprocessor_config.json": 2**20,
}
# Optional files of networks that are not frozen graphs: names of classes, and the preparation of pictures.
OPTIONAL = ("names.txt", "data.yaml", "categories.json", "metadata.yaml", "config.json", "preprocessor_config.json")
# Real headers have paths and a few extended attributes. Before 3.11.10 tarfile needs quadratic time (CVE-2024-6232).
LARGEST_HEADER = 2**15
LARGEST_ARCHIVE = 2**36
LISTED = 20

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


class Members:
    """The network's files, from one archive or from the layers of an image, the top layer first.

    Attributes:
        found: the files written, by name.
        not_files: the names that are not regular files, with a description of what they are.
        others: the first few other names in the folder, for messages.
    """

    def __init__(self, folder: Path, names: Collection[str], optional: Collection[str] = ()) -> None:
        """Extract `names` and, if found before all of these, `optional` (of `LARGEST`) into an empty `folder`."""
        self.found: dict[str, Path] = {}
        self.not_files: dict[str, str] = {}
        self.others: set[str] = set()
        self._folder = folder
        self._names, self._wanted = set(names) | set(optional), set(names)
        self._hidden: set[str] = set()

    @property
    def complete(self) -> bool:
        """Whether lower layers cannot change anything any more."""
        return self._wanted <= self._known()

    def add(self, chunks: Iterable[bytes], source: str, *, layer: bool = False) -> None:
        """Read a tar archive to its end, and extract the names that no earlier archive had.

        Of members with the same name the last one is used, as in all programs that read tar. In a `layer` whiteouts
        hide files of lower layers.

        Raises:
            GraphError: the archive is damaged or cut short, or a file is larger than `LARGEST`.
        """
        known = self._known()
        hidden: set[str] = set()
        reader = Reader(chunks, source)
        for member in walk(reader):
            hidden |= self._extract(member, reader, known, layer=layer)
        self._hidden |= hidden

    def _known(self) -> set[str]:
        return self._hidden | set(self.found) | set(self.not_files)

    def _extract(self, member: tarfile.TarInfo, reader: "Reader", known: set[str], *, layer: bool) -> set[str]:
        """Extract one member if it is needed; return the names that it hides in lower layers."""
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        if layer and (whiteout := self._whiteout(parts)) is not None:
            return whiteout
        if parts == [FOLDER] and not member.isdir():
            self._add_not_files(self._names - known, f"behind /{FOLDER}, which is {_kind(member)}")
            return set(LARGEST)
        if len(parts) != 2 or parts[0] != FOLDER:
            return set()
        name = parts[1]
        if name not in self._names:
            if len(self.others) < LISTED:
                self.others.add(name)
        elif name not in known:
            if member.isreg() and not member.issparse():
                self._write(name, member, reader)
            else:
                self._add_not_files({name}, _kind(member))
        return set()

    def _whiteout(self, parts: list[str]) -> set[str] | None:
        if parts in ([_OPAQUE], [FOLDER, _OPAQUE], [_WHITEOUT + FOLDER]):
            return set(LARGEST)
        if parts and parts[-1].startswith(_WHITEOUT):
            return {parts[1].removeprefix(_WHITEOUT)} if len(parts) == 2 and parts[0] == FOLDER else set()
        return None

    def _add_not_files(self, names: set[str], kind: str) -> None:
        for name in names:
            if written := self.found.pop(name, None):
                written.unlink()
            self.not_files[name] = kind

    def _write(self, name: str, member: tarfile.TarInfo, reader: "Reader") -> None:
        if not 0 < member.size <= LARGEST[name]:
            raise GraphError(
                f"{reader.source}: {FOLDER}/{name} has {member.size} bytes; expected 1 to {LARGEST[name]}: "
                "put the right file into the data image"
            )
        path = self._folder / name
        path.unlink(missing_ok=True)
        with path.open("xb") as stream:
            reader.seek(member.offset_data)
            left = member.size
            while left:
                chunk = reader.some(left)
                stream.write(chunk)
                left -= len(chunk)
            stream.flush()
            os.fsync(stream.fileno())
        self.not_files.pop(name, None)
        self.found[name] = path


def walk(reader: "Reader") -> Iterator[tarfile.TarInfo]:
    """Yield an archive's members with little memory, and read the archive to its end.

    Raises:
        GraphError: the archive is damaged or cut short.
    """
    try:
        with tarfile.TarFile(fileobj=cast(IO[bytes], reader), mode="r") as archive:
            while member := archive.next():
                yield member
                # TarFile would keep every member, and let each global header grow the next.
                archive.members, archive.pax_headers = [], {}  # type: ignore[attr-defined]
                reader.allowance = LARGEST_HEADER
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise GraphError(f"{reader.source}: is not a complete tar archive ({error}); fetch or make it again") from error
    reader.finish()


class Reader:
    """A forward-only file object for TarFile over chunks, which needs little memory even if a header is wrong."""

    def __init__(self, chunks: Iterable[bytes], source: str) -> None:
        self.source = source
        self.allowance = LARGEST_HEADER
        self._chunks = iter(chunks)
        self._chunk = memoryview(b"")
        self._position = 0
        self._last = b""

    def tell(self) -> int:
        """Return the number of bytes that were read."""
        return self._position

    def seek(self, position: int) -> int:
        """Skip to a later byte."""
        if position < self._position:
            raise GraphError(f"{self.source}: is damaged, a header points backwards; make it again")
        while self._position < position and self._some(position - self._position):
            pass
        return self._position

    def read(self, size: int) -> bytes:
        """Return `size` bytes of headers, fewer only at the end."""
        self.allowance -= size
        if size < 0 or self.allowance < 0:
            raise GraphError(
                f"{self.source}: is damaged, a header claims more than {LARGEST_HEADER} bytes; make it again"
            )
        parts = bytearray()
        while len(parts) < size and (part := self._some(size - len(parts))):
            parts += part
        self._last = bytes(parts)
        return self._last

    def some(self, size: int) -> memoryview:
        """Return 1 to `size` bytes of a file."""
        part = self._some(size)
        if not part:
            raise GraphError(f"{self.source}: ends after {self._position} bytes; fetch it again")
        return part

    def finish(self) -> None:
        """Read to the end, so that the source of the chunks can check their digest.

        TarFile treats a damaged header as the archive's end; the real end is a block of zeros, or nothing.
        """
        if self._last.strip(b"\0"):
            raise GraphError(f"{self.source}: is damaged before byte {self._position}; fetch or make it again")
        while self._some(2**20):
            pass

    def _some(self, size: int) -> memoryview:
        while not self._chunk:
            try:
                self._chunk = memoryview(next(self._chunks))
            except StopIteration:
                break
        part, self._chunk = self._chunk[:size], self._chunk[size:]
        self._position += len(part)
        if self._position > LARGEST_ARCHIVE:
            raise GraphError(f"{self.source}: is larger than {LARGEST_ARCHIVE} bytes; make the data image smaller")
        return part


def _kind(member: tarfile.TarInfo) -> str:
    if member.issym():
        return "a symbolic link"
    if member.islnk():
        return "a hard link"
    if member.isdir():
        return "a folder"
    if member.issparse():
        return "a sparse file"
    return "a file" if member.isreg() else "a device"
