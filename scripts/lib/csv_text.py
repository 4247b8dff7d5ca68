"""CSV files whose fields may hold any text."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _csv import Writer

# Longer fields are cut: many readers take no more than 131,072 characters.
LONGEST_FIELD = 10_000
_CUT = " ... (cut)"


class _Unix:
    """A text stream that gets rows ending with CR and LF, and writes LF only."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, row: str) -> int:
        """Write a row."""
        return self._stream.write(row.removesuffix("\r\n") + "\n")


def writer(stream: IO[str]) -> "Writer":
    """Return a writer of rows that end with LF; CR in a field is quoted, as readers would take it for a row's end."""
    # Before Python 3.13 csv quotes CR only if rows end with it.
    return csv.writer(_Unix(stream), lineterminator="\r\n")


def dict_writer(stream: IO[str], columns: Sequence[str]) -> "csv.DictWriter[str]":
    """Return the same for rows by column, and write the header."""
    rows = csv.DictWriter(_Unix(stream), columns, lineterminator="\r\n")
    rows.writeheader()
    return rows


def cut(text: str) -> str:
    """Return a text that is no longer than a field may be."""
    return text if len(text) <= LONGEST_FIELD else text[: LONGEST_FIELD - len(_CUT)] + _CUT


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file that a step of this workflow wrote, by column."""
    with path.open(encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream)
