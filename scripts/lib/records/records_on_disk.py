"""Store values of very many media in a temporary file, by media id."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from scripts.lib.records.temporary_tables import temporary_tables
from scripts.lib.text import json_text


class RecordsOnDisk:
    """JSON values by media id; memory does not grow with the number of values."""

    def __init__(self) -> None:
        """Create an empty table."""
        self._table = temporary_tables("CREATE TABLE known (media_id INTEGER PRIMARY KEY, content TEXT)")

    def close(self) -> None:
        """Close and remove the temporary file."""
        self._table.close()

    def update(self, values: Iterable[tuple[int, Any]]) -> None:
        """Add values, or replace those of media that have one."""
        rows = ((media_id, json.dumps(value)) for media_id, value in values)
        self._table.executemany("INSERT OR REPLACE INTO known VALUES (?, ?)", rows)

    def get(self, media_id: int) -> Any:
        """Return a media's value; None if it has none."""
        row = self._table.execute("SELECT content FROM known WHERE media_id = ?", (media_id,)).fetchone()
        return None if row is None else json_text.parse(row[0])

    def items(self) -> Iterator[tuple[int, Any]]:
        """Yield each media with its value, in the order of the numbers."""
        for media_id, content in self._table.execute("SELECT media_id, content FROM known ORDER BY media_id"):
            yield media_id, json_text.parse(content)
