"""Match detections with true boxes, and measure precision, recall and AP.

Average precision is COCO's, by pycocotools. Everything else is computed from one matching: in descending order of
score, each box is matched with the unmatched true box of its picture that it overlaps most, if the IoU is large enough.
As in COCO, an unmatched box is left out if enough of its area is in a crowd.
"""

import contextlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from scripts.lib.boxes import iou_matrix
from scripts.lib.evaluation.truth import LabeledBox
from scripts.lib.records.evaluation import AtThreshold, BestF1, Curve

THRESHOLDS = np.round(np.arange(0.05, 1.0, 0.05), 2)
AP_IOUS = np.linspace(0.5, 0.95, 10)

Verdict = Literal["right", "confused", "double", "false alarm"]


@dataclass(frozen=True, slots=True)
class Match:
    """A found box, its verdict, and a true box: its match (`right`, `confused`), or another box's match (`double`)."""

    box: LabeledBox
    verdict: Verdict
    truth: LabeledBox | None


def average_precision(truth: Sequence[LabeledBox], found: Sequence[LabeledBox]) -> dict[str, tuple[float, float]]:
    """Return AP50 and AP50-95 (101 points) of each true species."""
    species = sorted({box.species for box in truth if not box.is_crowd})
    if not species:
        return {}
    if not found:
        return dict.fromkeys(species, (0.0, 0.0))
    pictures = {picture: at for at, picture in enumerate(sorted({box.picture for box in [*truth, *found]}), start=1)}

    def annotations(boxes: Sequence[LabeledBox]) -> list[dict[str, object]]:
        return [
            {
                "id": at,
                "image_id": pictures[box.picture],
                "category_id": species.index(box.species) + 1,
                "bbox": list(box.xywh),
                "area": box.xywh[2] * box.xywh[3],
                "iscrowd": int(box.is_crowd),
                "score": box.score,
            }
            for at, box in enumerate((box for box in boxes if box.species in species), start=1)
        ]

    known = annotations(found)
    if not known:
        return dict.fromkeys(species, (0.0, 0.0))
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints
        coco = COCO()
        coco.dataset = {
            "images": [{"id": at} for at in pictures.values()],
            "categories": [{"id": at, "name": name} for at, name in enumerate(species, start=1)],
            "annotations": annotations(truth),
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(known), "bbox")
        evaluation.params.iouThrs = AP_IOUS
        evaluation.params.maxDets = [max(Counter(box.picture for box in found).values())]  # all boxes count
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, np.inf]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, 0]  # IoUs x recall points x species
    means = precision.mean(axis=1)
    return {name: (float(means[0, at]), float(means[:, at].mean())) for at, name in enumerate(species)}


def mean_ap50(truth: Sequence[LabeledBox], found: Sequence[LabeledBox]) -> float:
    """Return the mean AP50 over the true species; 0 without truth."""
    each = average_precision(truth, found)
    return float(np.mean([ap50 for ap50, _ in each.values()])) if each else 0.0


def match_boxes(
    truth: Iterable[LabeledBox], found: Iterable[LabeledBox], iou: float, *, by_species: bool
) -> tuple[list[Match], list[LabeledBox]]:
    """Return the verdict on each found box, by descending score within its picture, and the unmatched true boxes.

    Crowds are not among the unmatched true boxes, and unmatched boxes in them have no verdict.

    Args:
        truth: all true boxes.
        found: all found boxes.
        iou: the least IoU of a match.
        by_species: whether boxes are matched only with true boxes of their species; otherwise a box of another species
            is `confused`.
    """
    true_ones, found_ones = _grouped(truth, by_species), _grouped(found, by_species)
    matches: list[Match] = []
    missed: list[LabeledBox] = []
    for key, boxes in found_ones.items():
        matches += _match_picture(true_ones.get(key, []), sorted(boxes, key=lambda box: -box.score), iou)
    taken = {id(each.truth) for each in matches if each.verdict in ("right", "confused")}
    for boxes in true_ones.values():
        missed += [box for box in boxes if not box.is_crowd and id(box) not in taken]
    return matches, missed


def _grouped(boxes: Iterable[LabeledBox], by_species: bool) -> dict[Any, list[LabeledBox]]:
    groups: dict[Any, list[LabeledBox]] = defaultdict(list)
    for box in boxes:
        groups[(box.picture, box.species) if by_species else box.picture].append(box)
    return groups


def overlaps(found: Sequence[LabeledBox], truth: Sequence[LabeledBox]) -> npt.NDArray[np.float64]:
    """Return the IoU of each found box with each true box, (found, true)."""
    if not found or not truth:
        return np.zeros((len(found), len(truth)))
    corners = []
    for boxes in (found, truth):
        x, y, width, height = np.array([box.xywh for box in boxes], np.float64).T
        corners.append(np.stack([x, y, x + width, y + height], axis=1))
    return iou_matrix(corners[0], corners[1])


def _match_picture(every: list[LabeledBox], found: list[LabeledBox], iou: float) -> Iterable[Match]:
    truth = [box for box in every if not box.is_crowd]
    crowds = [box for box in every if box.is_crowd]
    shared = overlaps(found, truth)
    free = np.ones(len(truth), bool)
    for row, box in zip(shared, found, strict=True):
        enough = row >= iou
        if (enough & free).any():
            best = int(np.where(enough & free, row, -1).argmax())
            free[best] = False
            yield Match(box, "right" if truth[best].species == box.species else "confused", truth[best])
        elif any(_share_inside(box, crowd) >= iou for crowd in crowds):
            continue
        elif enough.any():
            yield Match(box, "double", truth[int(row.argmax())])
        else:
            yield Match(box, "false alarm", None)


def _share_inside(box: LabeledBox, crowd: LabeledBox) -> float:
    """Return the share of a box's area that is in a crowd, which COCO uses in place of the IoU."""
    (x, y, w, h), (left, top, width, height) = box.xywh, crowd.xywh
    across, down = min(x + w, left + width) - max(x, left), min(y + h, top + height) - max(y, top)
    return max(0.0, across) * max(0.0, down) / (w * h)


@dataclass(frozen=True)
class Sweep:
    """Precision and recall of one species, or of all, at descending thresholds.

    Attributes:
        scores: the thresholds, descending.
        precision: precision at each threshold.
        recall: recall at each threshold.
    """

    scores: npt.NDArray[np.float64]
    precision: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]

    @classmethod
    def of(cls, matches: Iterable[Match], truths: int) -> "Sweep":
        """Return the sweep of boxes that were matched by species; `truths` is the number of true boxes."""
        ordered = sorted(matches, key=lambda each: -each.box.score)
        right = np.cumsum([each.verdict == "right" for each in ordered], dtype=np.float64)
        return cls(
            np.array([each.box.score for each in ordered]),
            right / np.arange(1, len(ordered) + 1),
            right / max(truths, 1),
        )

    def best(self) -> BestF1 | None:
        """Return the threshold with the best F1, with F1, precision and recall; None without boxes."""
        if not len(self.scores):
            return None
        both = self.precision + self.recall
        f1 = np.divide(2 * self.precision * self.recall, both, out=np.zeros_like(both), where=both > 0)
        # Boxes of equal score are above or below a threshold together.
        last = np.append(self.scores[1:] != self.scores[:-1], True)
        at = int(np.where(last, f1, -1).argmax())
        best, precision, recall = (round(float(values[at]), 4) for values in (f1, self.precision, self.recall))
        # The score of a box, which a rounder one might leave out.
        return BestF1(threshold=round(float(self.scores[at]), 6), f1=best, precision=precision, recall=recall)

    def points(self, most: int = 200) -> Curve:
        """Return at most so many points of the curve."""
        at = np.unique(np.linspace(0, len(self.scores) - 1, min(most, len(self.scores))).astype(int))
        recall, precision, score = (
            [round(float(value), 4) for value in values[at]] for values in (self.recall, self.precision, self.scores)
        )
        return Curve(recall=recall, precision=precision, score=score)


def by_threshold(matches: Sequence[Match], truths: int, least: float) -> list[AtThreshold]:
    """Return what each threshold from `least` on gives, of boxes compared by species."""
    table = []
    for threshold in THRESHOLDS[np.greater_equal(THRESHOLDS, least - 1e-9)]:
        verdicts = Counter(each.verdict for each in matches if each.box.score >= threshold)
        right, kept = verdicts["right"], verdicts.total()
        precision, recall = right / kept if kept else 0.0, right / truths if truths else 0.0
        table.append(
            AtThreshold(
                threshold=float(threshold),
                precision=round(precision, 4),
                recall=round(recall, 4),
                f1=round(2 * precision * recall / (precision + recall), 4) if right else 0.0,
                right=right,
                false_alarms=verdicts["false alarm"],
                double_counts=verdicts["double"],
                missed=truths - right,
            )
        )
    return table


def confusion(matches: Iterable[Match], missed: Iterable[LabeledBox]) -> Mapping[tuple[str | None, str | None], int]:
    """Return the number of each pair (true species, found species); None means no box. Doubles are left out."""
    pairs: Counter[tuple[str | None, str | None]] = Counter()
    for each in matches:
        if each.verdict != "double":
            pairs[each.truth.species if each.truth else None, each.box.species] += 1
    for box in missed:
        pairs[box.species, None] += 1
    return pairs
