"""Compute the values of the report's part about an evaluation."""

import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from scripts.lib.files import read_member
from scripts.lib.pages import charts
from scripts.lib.pages.drawn_boxes import DrawnBox, PagePicture
from scripts.lib.pages.tator_place import TatorPlace
from scripts.lib.pictures.album import data_address, picture_name
from scripts.lib.pictures.colours import colour
from scripts.lib.records.evaluation import Confusion, EvaluationRecord, Mistake
from scripts.lib.records.record_files import read_record
from scripts.lib.text.display_text import short

CURVES, CONFUSED = 7, 20
_OTHERS = "#5b6670"


def accuracy_values(evaluation: Path, pictures: Path, names: list[str], *, place: TatorPlace | None) -> dict[str, Any]:
    """Return the values of the template accuracy.html.

    Args:
        evaluation: the record that evaluate wrote.
        pictures: the file that picture_errors wrote.
        names: the network's species.
        place: the place of the boxes in Tator; None if they are not in Tator.
    """
    accuracy = read_record(EvaluationRecord, evaluation)
    numbers = {name: at for at, name in enumerate(accuracy.confusion.species, start=1)}
    ranked = sorted(accuracy.species.items(), key=lambda item: -item[1].truth)
    with zipfile.ZipFile(pictures) as archive:
        shown = {
            sort: [
                picture
                for mistake in mistakes
                if (picture := _picture(archive, mistake, numbers, place, missed=sort == "missed"))
            ]
            for sort, mistakes in (("missed", accuracy.missed), ("false_alarms", accuracy.false_alarms))
        }
    return {
        **vars(accuracy),
        "species": [{"name": name, "colour": colour(numbers[name] - 1), **vars(each)} for name, each in ranked],
        "chart": charts.curves(
            "precision-recall",
            [
                charts.Curve(name, each.curve.recall, each.curve.precision, numbers[name])
                for name, each in [item for item in ranked if item[1].truth and item[1].found][:CURVES]
            ],
            "recall",
            "precision",
        ),
        "unknown": [short(name) for name in numbers if name not in names],
        "confusion": _confusion(accuracy.confusion, [name for name, _ in ranked]),
        "pictures": shown,
    }


def _confusion(found: Confusion, ranked: list[str]) -> dict[str, Any]:
    """Return the table of the most frequent species; the darkness of a cell is its share of the row."""
    kept = [found.species.index(name) for name in ranked[:CONFUSED]] + [len(found.species)]
    names = [*found.species, None]
    counts = np.asarray(found.counts)[np.ix_(kept, kept)]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return {
        "names": [short(names[at] or "nothing", 16) for at in kept],
        "rows": [
            [{"count": int(count), "share": float(share)} for count, share in zip(*row, strict=True)]
            for row in zip(counts, shares, strict=True)
        ],
        "complete": len(ranked) <= CONFUSED,
    }


def _picture(
    archive: zipfile.ZipFile, mistake: Mistake, numbers: dict[str, int], place: TatorPlace | None, *, missed: bool
) -> PagePicture | None:
    """Return a mistake's picture; None if the file has no picture of it."""
    name = f"{mistake.media_id}/{picture_name(mistake.frame)}"
    if name not in archive.namelist():
        return None
    content = read_member(archive, name)
    height, width = np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)).shape[:2]
    species = short(mistake.species, 24)
    own = DrawnBox(
        *_four(mistake.share),
        label=f"true: {species}" if missed else f"{species} {mistake.score:.2f}",
        colour=colour(numbers[mistake.species] - 1),
        dashed=missed,
    )
    others = [
        DrawnBox(
            *_four(other.share),
            label=short(other.species, 24) + (f" {other.score:.2f}" if missed else ", true"),
            colour=_OTHERS,
            dashed=not missed,
            labelled=False,
        )
        for other in mistake.others
    ]
    return PagePicture(
        address=data_address(content, "image/jpeg"),
        width=width,
        height=height,
        boxes=[own, *others],
        title=f"{short(mistake.name or str(mistake.media_id))}, frame {mistake.frame:,}",
        why=f"Missed: {species}" if missed else f"False positive: {species}, {mistake.score:.2f}",
        link=place.address(mistake.media_id, mistake.frame) if place else None,
    )


def _four(share: list[float]) -> tuple[float, float, float, float]:
    x, y, w, h = share
    return x, y, w, h
