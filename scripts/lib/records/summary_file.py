"""Write and read the file of the summary one media at a time, as a run may have a million media."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from scripts.lib.files import read_json, replacing
from scripts.lib.records.network import ProvenanceRecord
from scripts.lib.records.record_files import Record, as_content, from_content
from scripts.lib.records.summary import MediaSummary, RunSummary, Totals
from scripts.lib.records.upload import DestinationRecord
from scripts.lib.text import json_text
from scripts.lib.text.display_text import as_json

# The texts before and after the lines of the media, one line for each.
_FIRST, _LAST = '{"media": [\n', "],\n"


class RunningTotals:
    """Adds up the totals of all media.

    Attributes:
        failed: the media without a result, so far.
    """

    def __init__(self, good: Iterable[str], *, with_tracks: bool) -> None:
        """Begin with zero.

        Args:
            good: the states of media that did not fail.
            with_tracks: whether tracks are uploaded.
        """
        self._good, self._with_tracks = set(good), with_tracks
        self._media = self._frames = self._boxes = self._in_tator = self._tracks = 0
        self.failed: list[int] = []

    def add(self, line: MediaSummary) -> None:
        """Add the next media."""
        self._media += 1
        self._frames += line.frames
        self._boxes += line.boxes
        self._in_tator += line.boxes_in_tator
        self._tracks += line.tracks_in_tator or 0
        if line.state not in self._good:
            self.failed.append(line.media_id)

    @property
    def totals(self) -> Totals:
        """The totals of the media so far."""
        return Totals(
            media=self._media,
            frames=self._frames,
            boxes=self._boxes,
            boxes_in_tator=self._in_tator,
            tracks_in_tator=self._tracks if self._with_tracks else None,
        )


def write_summary(
    path: Path,
    lines: Iterable[MediaSummary],
    totals: RunningTotals,
    network: ProvenanceRecord,
    destination: DestinationRecord | None,
) -> None:
    """Write the summary atomically.

    Args:
        path: the file.
        lines: the results of the media.
        totals: the totals, to which each media is added.
        network: the record of the network's source.
        destination: the record of the boxes' destination; None if nothing is uploaded to Tator.
    """
    with replacing(path) as stream:
        stream.write(_FIRST)
        for at, line in enumerate(lines):
            totals.add(line)
            stream.write((",\n" if at else "") + as_json(as_content(line)))
        run = RunSummary(totals=totals.totals, failed=totals.failed, network=network, destination=destination)
        stream.write("\n" + _LAST + as_json(as_content(run), indent=2)[2:] + "\n")


def read_summary(path: Path) -> RunSummary:
    """Return the part of a summary about the whole run."""
    with path.open(encoding="utf-8", newline="") as stream:
        if stream.readline() != _FIRST:  # written by a version without a line for each media
            return from_content(RunSummary, read_json(path))
        for line in stream:
            if line == _LAST:
                break
        return from_content(RunSummary, json_text.parse("{" + stream.read()))


def read_lines(path: Path) -> Iterator[MediaSummary]:
    """Yield the result of each media in a summary."""
    return read_lines_as(MediaSummary, path)


def read_lines_as(kind: type[Record], path: Path) -> Iterator[Record]:
    """Yield the result of each media as a record of another kind, which has some of the keys of MediaSummary.

    Raises:
        ValueError: the file is not JSON, or was cut.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        if stream.readline() != _FIRST:
            yield from (from_content(kind, each) for each in read_json(path)["media"])
            return
        for line in stream:
            if line == _LAST:
                return
            if line.strip():
                content: dict[str, Any] = json_text.parse(line.rstrip(",\n"))
                yield from_content(kind, content)
    raise ValueError(f"{path}: the file ends within the media")
