"""Write and read CSV files whose fields may contain any text."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _csv import Writer

# Longer fields are cut: many readers accept at most 131,072 characters.
LONGEST_FIELD = 10_000
_CUT = " ... (cut)"


class _Unix:
    """A text stream that replaces CR and LF at the end of rows with LF."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, row: str) -> int:
        """Write a row."""
        return self._stream.write(row.removesuffix("\r\n") + "\n")


def writer(stream: IO[str]) -> "Writer":
    """Return a writer of rows that end with LF; it quotes fields with CR, which readers would treat as a row's end."""
    # Before Python 3.13, csv quotes CR only if rows end with it.
    return csv.writer(_Unix(stream), lineterminator="\r\n")


def dict_writer(stream: IO[str], columns: Sequence[str]) -> "csv.DictWriter[str]":
    """Return such a writer of rows given as dictionaries, and write the header."""
    rows = csv.DictWriter(_Unix(stream), columns, lineterminator="\r\n")
    rows.writeheader()
    return rows


def cut(text: str) -> str:
    """Return a text, cut if it is longer than LONGEST_FIELD."""
    return text if len(text) <= LONGEST_FIELD else text[: LONGEST_FIELD - len(_CUT)] + _CUT


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a file that a step of this workflow wrote, as dictionaries."""
    with path.open(encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream)
