"""Compute the values of the report's part about counts: MaxN by media and species, its frame, and MaxN over time."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from scripts.lib.detections import Detection
from scripts.lib.pages import charts
from scripts.lib.pages.tator_place import TatorPlace
from scripts.lib.pictures.colours import colour
from scripts.lib.text import csv_text
from scripts.lib.text.display_text import short

# The most rows, media and species in the page; the CSV has all of them.
ROWS_SHOWN, MEDIA_SHOWN, SPECIES_SHOWN = 100, 40, 12


@dataclass(frozen=True)
class MaxNs:
    """MaxN of media, and the least score of the boxes that count.

    Attributes:
        threshold: the least score.
        most: MaxN by media and species, from 1; species and media without a box are missing.
    """

    threshold: float
    most: Mapping[int, Mapping[int, int]]

    def reached(self, media_id: int, boxes: Iterable[Detection]) -> dict[int, int]:
        """Return MaxN of the species of which a frame has as many boxes."""
        counted = Counter(row.species for row in boxes if row.score >= self.threshold)
        most = self.most.get(media_id, {})
        return {species: number for species, number in sorted(counted.items()) if most.get(species) == number}


@dataclass(frozen=True)
class CountPages:
    """Computes the values of the part about counts.

    Attributes:
        place: the place of the boxes in Tator; None if the media are not in Tator.
        names: the network's species.
    """

    place: TatorPlace | None
    names: list[str]

    def link(self, media_id: int, frame: str) -> str | None:
        """Return the address of a frame in Tator; None if the media is not in Tator."""
        return None if self.place is None else self.place.address(media_id, int(frame))

    def values(self, counts: Path) -> dict[str, Any]:
        """Return the values of the template counts.html, from the file that count_species wrote."""
        most: dict[str, int] = defaultdict(int)
        for row in _counted(counts):
            most[row["species"]] = max(most[row["species"]], int(row["max_n"]))
        shown = sorted(most, key=lambda species: -most[species])[:SPECIES_SHOWN]
        rows: list[dict[str, str]] = []
        by_media: dict[int, dict[str, Any]] = {}
        row_count = media_count = 0
        tracks, last, threshold = False, None, None
        for row in _counted(counts):  # the rows of a media are next to each other
            media_id = int(row["media_id"])
            row_count += 1
            media_count += media_id != last
            last, threshold, tracks = media_id, float(row["threshold"]), tracks or bool(row["tracks"])
            if row_count <= ROWS_SHOWN:
                rows.append(row)
            if media_count <= MEDIA_SHOWN:
                entry = by_media.setdefault(media_id, {"name": self._name(row), "cells": {}})
                entry["cells"][row["species"]] = {
                    "max_n": int(row["max_n"]),
                    "link": self.link(media_id, row["max_n_frame"]),
                    "shade": int(row["max_n"]) / most[row["species"]],
                }
        return {
            "threshold": threshold,
            "species": shown,
            "media": list(by_media.values()),
            "media_left_out": media_count - len(by_media),
            "species_left_out": len(most) - len(shown),
            "rows": [self._row(row) for row in rows],
            "rows_left_out": row_count - len(rows),
            "tracks": tracks,
        }

    def max_ns(self, counts: Path, media_ids: Collection[int]) -> MaxNs:
        """Return MaxN of each of these media, from the file that count_species wrote."""
        numbers = {name: at for at, name in enumerate(self.names, start=1)}
        most: dict[int, dict[int, int]] = defaultdict(dict)
        threshold = 0.0
        for row in csv_text.read_rows(counts):
            threshold = float(row["threshold"])
            if row["max_n"] != "0" and int(row["media_id"]) in media_ids:
                most[int(row["media_id"])][numbers[row["species"]]] = int(row["max_n"])
        return MaxNs(threshold, most)

    def over_time(self, intervals: Path, media_ids: Collection[int]) -> dict[int, Markup]:
        """Return a chart of MaxN by interval for each media that has two intervals or more.

        Args:
            intervals: the file that count_species wrote.
            media_ids: the media that are shown.
        """
        numbers = {name: at for at, name in enumerate(self.names, start=1)}
        lines: dict[int, list[dict[str, str]]] = defaultdict(list)
        for row in csv_text.read_rows(intervals):
            if int(row["media_id"]) in media_ids and row["start_seconds"]:
                lines[int(row["media_id"])].append(row)
        found = {}
        for media_id, rows in lines.items():
            starts = sorted({float(row["start_seconds"]) for row in rows})
            if len(starts) < 2:
                continue
            length = float(rows[0]["end_seconds"]) - float(rows[0]["start_seconds"])
            steps: dict[int, list[tuple[float, int]]] = defaultdict(list)
            tops: dict[str, dict[str, str]] = {}
            for row in rows:
                steps[numbers[row["species"]]].append((float(row["start_seconds"]), int(row["max_n"])))
                if row["max_n"] != "0" and int(row["max_n"]) > int(tops.get(row["species"], {"max_n": "0"})["max_n"]):
                    tops[row["species"]] = row
            peaks = [
                charts.Peak(
                    species=numbers[name],
                    seconds=float(row["max_n_seconds"]),
                    number=int(row["max_n"]),
                    address=self.link(media_id, row["max_n_frame"]),
                )
                for name, row in tops.items()
            ]
            seen = {species: points for species, points in steps.items() if any(top for _, top in points)}
            if seen:
                found[media_id] = charts.max_n_over_time(f"max-n-{media_id}", seen, length, peaks)
        return found

    def _row(self, row: dict[str, str]) -> dict[str, Any]:
        media_id = int(row["media_id"])
        return {
            "media_id": media_id,
            "name": self._name(row),
            "section": short(row["section"], 24),
            "species": row["species"],
            "colour": colour(self.names.index(row["species"])),
            "max_n": int(row["max_n"]),
            "when": _when(row["max_n_seconds"], row["max_n_frame"]),
            "link": self.link(media_id, row["max_n_frame"]),
            "first": _when(row["first_seconds"], row["first_frame"]),
            "seen": f"{float(row['seconds_seen']):,.1f}" if row["seconds_seen"] else "",
            "mean": f"{float(row['mean_count']):.2f}",
            "tracks": row["tracks"],
        }

    def _name(self, row: dict[str, str]) -> str:
        return short(row["name"] or f"media {row['media_id']}")


def _when(seconds: str, frame: str) -> str:
    return charts.clock(float(seconds)) if seconds else f"frame {int(frame):,}"


def _counted(path: Path) -> Iterator[dict[str, str]]:
    return (row for row in csv_text.read_rows(path) if row["max_n"] != "0")
