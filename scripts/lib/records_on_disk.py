"""What is known of each of very many media, looked up by its number in a temporary file."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from scripts.lib import json_text


class RecordsOnDisk:
    """Values that JSON can hold, by media id; memory does not grow with their number."""

    def __init__(self) -> None:
        """Begin without any."""
        # Without a name SQLite makes a temporary file, which is gone when this process ends.
        self._table = sqlite3.connect("")
        self._table.executescript(
            "PRAGMA journal_mode = OFF; CREATE TABLE known (media_id INTEGER PRIMARY KEY, content TEXT);"
        )

    def close(self) -> None:
        """Give the file up."""
        self._table.close()

    def update(self, known: Iterable[tuple[int, Any]]) -> None:
        """Take values; that of a media that has one replaces it."""
        rows = ((media_id, json.dumps(value)) for media_id, value in known)
        self._table.executemany("INSERT OR REPLACE INTO known VALUES (?, ?)", rows)

    def get(self, media_id: int) -> Any:
        """Return a media's value; None where there is none."""
        row = self._table.execute("SELECT content FROM known WHERE media_id = ?", (media_id,)).fetchone()
        return None if row is None else json_text.parse(row[0])

    def items(self) -> Iterator[tuple[int, Any]]:
        """Yield each media with its value, by number."""
        for media_id, content in self._table.execute("SELECT media_id, content FROM known ORDER BY media_id"):
            yield media_id, json_text.parse(content)
