"""The file of the media's sections and attributes in Tator, written and read a media at a time."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from scripts.lib import json_text
from scripts.lib.display_text import as_json
from scripts.lib.files import read_json, replacing
from scripts.lib.record_files import as_content, from_content, missing_key_named
from scripts.lib.records.summary import MediaAttributes

# The file's first and last line; between them is a line for each media, by number.
_FIRST, _LAST = b"{\n", b"}\n"


def write_attributes(path: Path, media: Iterable[tuple[int, MediaAttributes]]) -> None:
    """Write the section and attributes of each media; the file is complete or not written at all.

    Args:
        path: the JSON file to write: an object by media id.
        media: media ids, ascending, with the section and attributes.
    """
    with replacing(path, "wb") as stream:
        stream.write(_FIRST)
        for at, (media_id, described) in enumerate(media):
            stream.write((",\n" if at else "").encode() + f'"{media_id}": {as_json(as_content(described))}'.encode())
        stream.write(b"\n" + _LAST)


class DescribedMedia:
    """A file of sections and attributes, in which media are looked up; it keeps 16 bytes for each media in memory."""

    def __init__(self, path: Path) -> None:
        """Find the position of each media in the file.

        Raises:
            PipelineError: the file lacks a key of a media.
        """
        self._path = path
        self._stream: BinaryIO | None = None
        self._ids, self._offsets = array("q"), array("q")
        self._whole: dict[int, MediaAttributes] = {}
        if not self._index_lines():  # an earlier version wrote the file as a whole
            with missing_key_named(path):
                content = {int(name): from_content(MediaAttributes, each) for name, each in read_json(path).items()}
            self._whole = content

    def __enter__(self) -> Self:
        self._stream = self._path.open("rb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None

    def values(self) -> Iterator[MediaAttributes]:
        """Yield the section and attributes of each media."""
        yield from self._whole.values()
        for offset in self._offsets:
            yield self._read(offset)

    def get(self, media_id: int) -> MediaAttributes | None:
        """Return the section and attributes of a media; None if the file does not have it."""
        at = bisect_left(self._ids, media_id)
        if at < len(self._ids) and self._ids[at] == media_id:
            return self._read(self._offsets[at])
        return self._whole.get(media_id)

    def _index_lines(self) -> bool:
        """Store the offsets of the lines; return whether the file has a line for each media."""
        offset = len(_FIRST)
        with self._path.open("rb") as stream:
            if stream.readline() != _FIRST:
                return False
            for line in stream:
                if line.startswith(b'"'):
                    self._ids.append(int(line[1 : line.index(b'"', 1)]))
                    self._offsets.append(offset)
                elif line.strip() not in (b"", b"}"):
                    return False
                offset += len(line)
        return True

    def _read(self, offset: int) -> MediaAttributes:
        if self._stream is None:
            raise ValueError(f"{self._path}: the file is not open; look media up within a with block")
        self._stream.seek(offset)
        line = self._stream.readline().rstrip(b",\n")
        with missing_key_named(self._path):
            return from_content(MediaAttributes, json_text.parse(line.partition(b": ")[2]))
