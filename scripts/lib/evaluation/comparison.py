"""Compare two runs: which boxes appeared, vanished, or changed their species or score."""

import unicodedata
from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from scripts.lib.detections import read_detections
from scripts.lib.errors import ServerError
from scripts.lib.evaluation.accuracy import overlaps
from scripts.lib.evaluation.compared_media import ComparedMedia
from scripts.lib.evaluation.truth import LabeledBox
from scripts.lib.finished_run import FinishedRun
from scripts.lib.records.record_files import read_record
from scripts.lib.server import project_needs, rows, values
from scripts.lib.server.api import IDS_PER_CALL, Project
from scripts.lib.server.faults import Unusable

KINDS: tuple["Kind", ...] = ("same", "rescored", "changed species", "appeared", "vanished")
Kind = Literal["same", "rescored", "changed species", "appeared", "vanished"]
# The kinds as they are in compare.json, and the words for them on the page.
KIND_TEXTS: dict[str, str] = {**dict(zip(KINDS, KINDS, strict=True)), "rescored": "score changed"}


@dataclass(frozen=True)
class Side:
    """One of the two runs, or versions, that are compared.

    Attributes:
        title: title on the page.
        media: the media by id.
        boxes: function that returns a media's boxes.
        previews: function that returns the file of a media's pictures, or None.
        classes: the network's species, whose order determines their colours; empty if they are unknown.
        is_run: whether it is a run, not a version in Tator.
    """

    title: str
    media: Mapping[int, ComparedMedia]
    boxes: Callable[[int], list[LabeledBox]]
    previews: Callable[[int], Path | None]
    classes: Sequence[str] = ()
    is_run: bool = True


@dataclass(frozen=True)
class Change:
    """The change of one box; `before` or `after` is None if that side does not have the box."""

    media_id: int
    frame: int
    kind: Kind
    before: LabeledBox | None
    after: LabeledBox | None

    def entry(self) -> dict[str, Any]:
        """Return the change as JSON content."""
        sides = {"before": self.before, "after": self.after}
        boxes = {side: {key: asdict(box)[key] for key in ("species", "score", "xywh")} if box else None
                 for side, box in sides.items()}  # fmt: skip
        return {"media_id": self.media_id, "frame": self.frame, "kind": self.kind, **boxes}


class MediaOfSide(Mapping[int, ComparedMedia]):
    """The media of a side, by id; each is read when it is looked up, as a run may have a million."""

    def __init__(self, media_ids: Sequence[int], read: Callable[[int], ComparedMedia]) -> None:
        """Sort the ids; no media is read.

        Args:
            media_ids: ids in the side's order; an array needs the least memory.
            read: function that returns a media.
        """
        self._media_ids, self._read = media_ids, read
        self._ascending = array("q", np.sort(np.asarray(media_ids, np.int64)).tobytes())

    def __getitem__(self, media_id: int) -> ComparedMedia:
        """Read a media."""
        if media_id not in self:
            raise KeyError(media_id)
        return self._read(media_id)

    def __contains__(self, media_id: object) -> bool:
        """Return whether the side has a media, without reading it."""
        rank = self.rank(media_id) if isinstance(media_id, int) else len(self)
        return rank < len(self) and bool(self._ascending[rank] == media_id)

    def __iter__(self) -> Iterator[int]:
        return iter(self._media_ids)

    def __len__(self) -> int:
        return len(self._media_ids)

    def rank(self, media_id: int) -> int:
        """Return the number of the side's media with smaller ids."""
        return bisect_left(self._ascending, media_id)


def run_side(folder: Path, threshold: float = 0.0) -> Side:
    """Return the boxes of a run, given its folder or the folder `results` in it.

    Args:
        folder: the folder.
        threshold: the least score of a box.

    Raises:
        PipelineError: there are no results.
    """
    run = FinishedRun.at(folder)

    def read(media_id: int) -> ComparedMedia:
        return read_record(ComparedMedia, run.file("detections/{media_id}.json", media_id))

    media = MediaOfSide(run.media_ids, read)
    # Few networks made the boxes of a run: the classes of each are kept once, and a number of them for each media.
    numbers: dict[tuple[str, ...], int] = {}
    of_media = np.zeros(len(media), np.uint16)
    for media_id in media:
        of_media[media.rank(media_id)] = numbers.setdefault(_classes(read(media_id)), len(numbers))
    classes = list(numbers)

    def boxes(media_id: int) -> list[LabeledBox]:
        names = classes[of_media[media.rank(media_id)]]
        return [
            LabeledBox((media_id, row.frame), (row.x, row.y, row.w, row.h), names[row.species - 1], row.score)
            for row in read_detections(run.file("detections/{media_id}.csv", media_id))
            if row.score >= threshold
        ]

    def previews(media_id: int) -> Path | None:
        path = run.file("previews/{media_id}.zip", media_id)
        return path if path.exists() else None

    return Side(str(folder), media, boxes, previews, max(classes, key=len, default=()))


def _classes(media: ComparedMedia) -> tuple[str, ...]:
    return () if media.network is None else tuple(_composed(name) for name in media.network.classes)


def _composed(name: str) -> str:
    """Return a species' name, such that composed and decomposed accents are equal."""
    return unicodedata.normalize("NFC", name)


def _compared(found: Mapping[str, Any]) -> ComparedMedia:
    """Return the media of a record in Tator.

    Raises:
        Unusable: the name or the size cannot be used.
    """
    with rows.used_for(f"media {found['id']}"):
        return ComparedMedia(
            name=values.optional_text(found.get("name"), "name"),
            width=values.optional_whole(found.get("width"), "width") or 0,
            height=values.optional_whole(found.get("height"), "height") or 0,
        )


def version_side(
    project: Project, version_id: int, media_ids: Sequence[int], *, type_id: int, species: str, confidence: str
) -> Side:
    """Return the boxes in a version in Tator, and in its bases.

    Raises:
        ServerError: the project has no such version or box type, or the version has no box in these media.
    """
    versions = project.versions()
    project_needs.chosen_version(versions, "id", version_id, "version")
    bases = rows.bases(versions, version_id)
    box_type = project_needs.pick(project.localization_types(), "id", type_id, "--type")
    rows.require_type("box type", box_type)
    for option, name in (("--species-attribute", species), ("--confidence-attribute", confidence)):
        if not project_needs.has(box_type, name):
            present = ", ".join(repr(one["name"]) for one in box_type.get("attribute_types") or []) or "none"
            raise ServerError(f"{option}: box type {box_type['name']!r} has no attribute {name!r}; it has {present}")
    media = media_in_tator(project, media_ids)
    if not any(project.count_boxes(media_id, type_id, version_id, bases=bases) for media_id in media):
        raise ServerError(
            f"version {version_id} holds no box of type {type_id} in the {len(media)} media that are compared; "
            "expected a version with boxes: name another one"
        )

    def boxes(media_id: int) -> list[LabeledBox]:
        compared = media[media_id]
        width, height = compared.width, compared.height
        latest = rows.current(project.boxes(media_id, type_id, version_id, bases=bases), version_id)
        if latest and not (width and height):
            raise Unusable(
                f"media {media_id}: Tator has boxes but no size of it ({width}x{height}), expected width and height in "
                "pixels: upload the media again, or leave it out with --media"
            )
        found = []
        for box in latest.values():
            if not box["variant_deleted"]:
                x, y, box_width, box_height = rows.place(box)
                attributes = box["attributes"] or {}
                with rows.used_for(f"media {media_id}"):
                    score = values.coordinate(attributes.get(confidence) or 0.0, f"{confidence} of {box['id']}")
                xywh = x * width, y * height, box_width * width, box_height * height
                label = _composed(str(attributes.get(species) or ""))
                found.append(LabeledBox((media_id, box["frame"] or 0), xywh, label, float(score)))
        return found

    return Side(f"version {version_id}", media, boxes, lambda _: None, is_run=False)


def media_in_tator(project: Project, media_ids: Sequence[int]) -> MediaOfSide:
    """Return the media that exist in Tator; the records of one call, IDS_PER_CALL, are in memory at a time.

    Raises:
        Unusable: the name or the size of a media cannot be used.
    """
    existing = array("q", (media_id for media_id, _ in _each_compared(project, media_ids)))
    kept: dict[int, ComparedMedia] = {}

    def read(media_id: int) -> ComparedMedia:
        if media_id not in kept:
            at = existing.index(media_id)
            kept.clear()
            kept.update(_each_compared(project, existing[at : at + IDS_PER_CALL]))
        if media_id not in kept:
            raise ServerError(f"media {media_id} was deleted while it was compared; run again")
        return kept[media_id]

    return MediaOfSide(existing, read)


def _each_compared(project: Project, media_ids: Sequence[int]) -> Iterator[tuple[int, ComparedMedia]]:
    return ((found["id"], _compared(found)) for found in project.each_media(media_ids))


def measured(before: Side, after: Side, media_id: int) -> ComparedMedia:
    """Return a media of the second side, or of the first one if the second could not read its size."""
    media = after.media[media_id]
    return media if media.width and media.height else before.media[media_id]


def changes(before: list[LabeledBox], after: list[LabeledBox], iou: float, score_change: float) -> Iterator[Change]:
    """Yield the change of each box of one media.

    Args:
        before: the media's boxes in the first run.
        after: the media's boxes in the second run.
        iou: the least IoU of two boxes that count as the same.
        score_change: the least change of a score that counts.
    """
    frames: dict[tuple[int, int], tuple[list[LabeledBox], list[LabeledBox]]] = defaultdict(lambda: ([], []))
    for at, boxes in enumerate((before, after)):
        for box in boxes:
            frames[box.picture][at].append(box)
    for (media_id, frame), (old, new) in sorted(frames.items()):
        for one, other in _paired(old, new, iou):
            kind: Kind = "same"
            if one is None:
                kind = "appeared"
            elif other is None:
                kind = "vanished"
            elif one.species != other.species:
                kind = "changed species"
            elif round(abs(one.score - other.score), 6) >= score_change:  # scores have six decimals
                kind = "rescored"
            yield Change(media_id, frame, kind, one, other)


def _paired(
    old: list[LabeledBox], new: list[LabeledBox], iou: float
) -> Iterator[tuple[LabeledBox | None, LabeledBox | None]]:
    """Yield the boxes of one frame in pairs, those that overlap most first, then those without a partner."""
    shared = overlaps(new, old)
    free_old, free_new = dict(enumerate(old)), dict(enumerate(new))
    for at in np.argsort(-shared, axis=None, kind="stable"):
        row, column = divmod(int(at), len(old))
        if shared[row, column] < iou:
            break
        if row in free_new and column in free_old:
            yield free_old.pop(column), free_new.pop(row)
    yield from ((None, box) for box in free_new.values())
    yield from ((box, None) for box in free_old.values())


def count_kinds(found: Iterable[Change]) -> dict[str, int]:
    """Return the number of changes of each kind."""
    kinds = Counter(change.kind for change in found)
    return {str(kind): kinds[kind] for kind in KINDS}
