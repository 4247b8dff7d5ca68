"""Write and read the file of the media's sections and attributes in Tator, one media at a time."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from scripts.lib.files import read_json, replacing
from scripts.lib.records.record_files import as_content, from_content, missing_key_named
from scripts.lib.records.summary import MediaAttributes
from scripts.lib.text import json_text
from scripts.lib.text.display_text import as_json

# The first and the last line of the file; between them is one line for each media, in order of their ids.
_FIRST, _LAST = b"{\n", b"}\n"


def write_attributes(path: Path, media: Iterable[tuple[int, MediaAttributes]]) -> None:
    """Write the sections and attributes of all media, complete or not at all.

    Args:
        path: the JSON file to write, an object by media id.
        media: ids, in ascending order, with section and attributes.
    """
    with replacing(path, "wb") as stream:
        stream.write(_FIRST)
        for at, (media_id, attributes) in enumerate(media):
            stream.write((",\n" if at else "").encode() + f'"{media_id}": {as_json(as_content(attributes))}'.encode())
        stream.write(b"\n" + _LAST)


class AttributesFile:
    """Looks up media in a file of `write_attributes`; needs 16 bytes of memory for each media."""

    def __init__(self, path: Path) -> None:
        """Find the position of each media in the file.

        Raises:
            PipelineError: a media lacks a key.
        """
        self._path = path
        self._stream: BinaryIO | None = None
        self._ids, self._places = array("q"), array("q")
        self._loaded: dict[int, MediaAttributes] = {}
        if not self._find_lines():  # earlier versions wrote the whole object at once
            with missing_key_named(path):
                content = {int(name): from_content(MediaAttributes, each) for name, each in read_json(path).items()}
            self._loaded = content

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
        yield from self._loaded.values()
        for place in self._places:
            yield self._read(place)

    def get(self, media_id: int) -> MediaAttributes | None:
        """Return the section and attributes of a media; None if the file does not have it."""
        at = bisect_left(self._ids, media_id)
        if at < len(self._ids) and self._ids[at] == media_id:
            return self._read(self._places[at])
        return self._loaded.get(media_id)

    def _find_lines(self) -> bool:
        """Store the offsets of the lines; return whether the file has one line for each media."""
        place = len(_FIRST)
        with self._path.open("rb") as stream:
            if stream.readline() != _FIRST:
                return False
            for line in stream:
                if line.startswith(b'"'):
                    self._ids.append(int(line[1 : line.index(b'"', 1)]))
                    self._places.append(place)
                elif line.strip() not in (b"", b"}"):
                    return False
                place += len(line)
        return True

    def _read(self, place: int) -> MediaAttributes:
        if self._stream is None:
            raise ValueError(f"{self._path}: it is not open; look things up within a with block")
        self._stream.seek(place)
        line = self._stream.readline().rstrip(b",\n")
        with missing_key_named(self._path):
            return from_content(MediaAttributes, json_text.parse(line.partition(b": ")[2]))
