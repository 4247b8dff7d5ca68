"""The JSON file of a comparison; its lists grow with the runs, so they are kept on disk until it is written."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from scripts.lib.files import replacing
from scripts.lib.text.display_text import as_json


class ListOnDisk:
    """A list of any length for write_content, kept in a temporary file."""

    def __init__(self, items: IO[str]) -> None:
        """Create an empty list; `items` is an empty file for it."""
        self._items, self._is_empty = items, True

    def extend(self, items: Iterable[Any]) -> None:
        """Append items."""
        for item in items:
            self._items.write(("[\n    " if self._is_empty else ",\n    ") + _indented(item, 4))
            self._is_empty = False

    def copy_to(self, stream: IO[str]) -> None:
        """Write the list as the value of a key of the outermost object."""
        self._items.seek(0)
        shutil.copyfileobj(self._items, stream)
        stream.write("[]" if self._is_empty else "\n  ]")


def write_content(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object in the format of files.write_json, complete or not at all; values may be a ListOnDisk."""
    with replacing(path) as stream:
        for at, (key, value) in enumerate(content.items()):
            stream.write(f"{',' if at else '{'}\n  {as_json(key)}: ")
            if isinstance(value, ListOnDisk):
                value.copy_to(stream)
            else:
                stream.write(_indented(value, 2))
        stream.write("\n}\n")


def _indented(value: Any, blanks: int) -> str:
    return as_json(value, indent=2).replace("\n", "\n" + " " * blanks)
