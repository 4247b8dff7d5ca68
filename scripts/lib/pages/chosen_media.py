"""Choose the contents of the report of a run of any number of media: sums over all, and the media shown in detail."""

import heapq
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, Generic, TypeVar

from scripts.lib.pages.findings import Findings
from scripts.lib.pages.shown_media import Candidate, ReportedMedia, doubtful_frames
from scripts.lib.pictures.album import Album
from scripts.lib.records.summary import MediaSummary
from scripts.lib.text.display_text import short

ROWS_SHOWN, SLOWEST, CHECKED = 200, 5, 6

Item = TypeVar("Item")


class Largest(Generic[Item]):
    """Keeps the items with the largest keys; of items with equal keys the first ones."""

    def __init__(self, count: int, key: Callable[[Item], tuple[Any, ...]]) -> None:
        """Begin without items.

        Args:
            count: number of items to keep.
            key: function that returns the key of an item.
        """
        self._count, self._key, self._added = count, key, 0
        self._kept: list[tuple[tuple[Any, ...], int, Item]] = []

    def add(self, item: Item) -> None:
        """Add the next item."""
        self._added += 1
        entry = (self._key(item), -self._added, item)
        if len(self._kept) < self._count:
            heapq.heappush(self._kept, entry)
        elif self._kept and entry[:2] > self._kept[0][:2]:
            heapq.heapreplace(self._kept, entry)

    def would_keep(self, key: tuple[Any, ...]) -> bool:
        """Return whether an item with this key would be kept if it were added now."""
        return len(self._kept) < self._count or bool(self._kept and key > self._kept[0][0])

    @property
    def sorted(self) -> list[Item]:
        """The items, the one with the largest key first."""
        return [item for *_, item in sorted(self._kept, key=lambda entry: entry[:2], reverse=True)]


class ChosenMedia:
    """Collects the contents of the report, from one media after the other.

    Attributes:
        total: the boxes of all media.
        states: number of media by state.
        failed_states: number of media without a result, by state.
        rows: rows of the table, for the first media.
        failed_rows: rows of the table, for the first media without a result.
        with_pictures: number of media that have pictures.
        kept: the requested media, by number.
        speed: frames, seconds and stages of all detection.
        engines: descriptions of the engines that were used.
        sizes: descriptions of the sizes of the network's input.
        people: number of boxes, tracks and counts that were kept for people.
        boxes_of_failed: number of boxes in Tator of media without a result.
    """

    def __init__(self, media_in_detail: int, keep: Collection[int]) -> None:
        """Begin without media.

        Args:
            media_in_detail: number of media that are shown with pictures.
            keep: numbers of further media that the page needs.
        """
        self._keep = keep
        self.total = Findings()
        self.states: Counter[str] = Counter()
        self.failed_states: Counter[str] = Counter()
        self.rows: list[dict[str, Any]] = []
        self.failed_rows: list[dict[str, Any]] = []
        self.with_pictures = self.people = self.boxes_of_failed = 0
        self.kept: dict[int, ReportedMedia] = {}
        self.speed = Speed()
        self.engines: set[str] = set()
        self.sizes: set[str] = set()
        self._in_detail = Largest[ReportedMedia](media_in_detail, lambda each: (each.failed, each.findings.doubt))
        self._doubtful = Largest[Candidate](CHECKED, lambda found: (found.doubt,))

    def add(self, media: ReportedMedia) -> None:
        """Add the next media."""
        line, outcome = media.line, media.outcome
        self.total.merge(media.findings)
        self.states[line.state] += 1
        self.people += line.kept_for_people
        _add_row(self.rows, media)
        if media.failed:
            self.failed_states[line.state] += 1
            self.boxes_of_failed += line.uploaded_boxes
            _add_row(self.failed_rows, media)
        if line.media_id in self._keep:
            self.kept[line.media_id] = media
        album = Album.open(media.previews)
        if album.pictures:
            self.with_pictures += 1
            self._in_detail.add(media)
            for candidate in doubtful_frames(media, album):
                self._doubtful.add(candidate)
        if outcome.frames.used:
            self.speed.add(media)
        if outcome.engine:
            self.engines.add(" ".join(str(outcome.engine[key]) for key in ("name", "version", "device", "precision")))
        if outcome.network:
            self.sizes.add(f"{outcome.network.width} x {outcome.network.height}")

    @property
    def in_detail(self) -> list[ReportedMedia]:
        """The media that are shown with pictures: first those without a result, then those with the most doubt."""
        return self._in_detail.sorted

    @property
    def least_sure(self) -> list[Candidate]:
        """The frames in which the network was least certain."""
        return self._doubtful.sorted


class Speed:
    """Adds up frames and times of detection; each media has a frame that went through the network."""

    def __init__(self) -> None:
        """Begin with zero."""
        self.frames, self.seconds = 0, 0.0
        self.stages: Counter[str] = Counter()
        self._slowest = Largest[tuple[str, float, float]](SLOWEST, lambda each: (-each[1],))

    def add(self, media: ReportedMedia) -> None:
        """Add the next media."""
        used, seconds = media.outcome.frames.used, media.outcome.seconds
        self.frames += used
        self.seconds += seconds
        self.stages.update(media.outcome.stages)
        self._slowest.add((media.name, used / seconds, seconds))

    @property
    def slowest(self) -> list[dict[str, Any]]:
        """The slowest media."""
        return [{"name": name, "rate": rate, "seconds": seconds} for name, rate, seconds in self._slowest.sorted]


def _add_row(rows: list[dict[str, Any]], media: ReportedMedia) -> None:
    if len(rows) < ROWS_SHOWN:
        rows.append(_row(media.line, media))


def _row(line: MediaSummary, media: ReportedMedia) -> dict[str, Any]:
    return {
        **vars(line),
        "name": short(line.name or ""),
        "reason": short(line.reason or "", 160),
        "people": line.kept_for_people_text,
        "link": media.link,
        "failed": media.failed,
    }
