"""Compare the boxes that were found with true ones."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from scripts.lib.detections import read_detections
from scripts.lib.evaluation.accuracy import Sweep, average_precision, by_threshold, confusion, match_boxes
from scripts.lib.evaluation.truth import LabeledBox, read_truth, scaled, sizes_in
from scripts.lib.frames.used_frames import UsedFrames
from scripts.lib.graphs import train_ini as train
from scripts.lib.records import DetectionRecord
from scripts.lib.records.evaluation import Confusion, EvaluationRecord, Mistake, NearbyBox, SpeciesAccuracy
from scripts.lib.records.record_files import read_record, write_record
from scripts.lib.workflow.jobs import job

# Two pictures of one media are at least this many frames apart, as neighbouring frames show the same mistake.
APART = 25


def evaluate(
    *,
    detections: list[Path],
    outcomes: list[Path],
    truth: Path,
    train_ini: Path,
    iou: float,
    only_frames_with_truth: bool,
    pictures: int,
    keep_threshold: float,
    upload_threshold: float,
    evaluation: Path,
) -> None:
    """Write the accuracy of the run, by species and overall, at each threshold, and its worst mistakes.

    Media without a true box, and frames that did not go through the network, are left out.

    Args:
        detections: the CSV files of detect, a file for each media.
        outcomes: the records of detect, in the same order.
        truth: the file of get_truth.
        train_ini: the species' names.
        iou: the least IoU of a correct box with its true box.
        only_frames_with_truth: whether frames without a true box are left out.
        pictures: number of the worst misses, and of the worst false positives, to name.
        keep_threshold: the least score of a box.
        upload_threshold: the least score of an uploaded box; boxes below it do not count in confusion, misses and false
            positives.
        evaluation: the JSON file to write.
    """
    names = train.species(train_ini)
    all_true_boxes = read_truth(truth)
    media_with_truth = {box.picture[0] for box in all_true_boxes}
    records = {
        outcome.media_id: (outcome, csv)
        for outcome, csv in zip((read_record(DetectionRecord, path) for path in outcomes), detections, strict=True)
        if outcome.media_id in media_with_truth  # a small share of a large run
    }
    read = {media_id: outcome for media_id, (outcome, _) in records.items()}
    with_crowds = _in_pixels_of_the_file(_in_analysed_frames(all_true_boxes, read), read, sizes_in(truth))
    true_boxes = [box for box in with_crowds if not box.is_crowd]
    in_truth = {box.picture for box in with_crowds}
    media = sorted({media_id for media_id, _ in in_truth})
    found = [
        box
        for media_id in media
        for box in _found(media_id, records[media_id][1], names)
        if not only_frames_with_truth or box.picture in in_truth
    ]
    matches, _ = match_boxes(with_crowds, found, iou, by_species=True)
    precisions = average_precision(with_crowds, found)
    known = [*names, *sorted({box.species for box in true_boxes} - set(names))]
    species = {}
    for name in known:
        truths = sum(box.species == name for box in true_boxes)
        own = [each for each in matches if each.box.species == name]
        if truths or own:
            sweep = Sweep.of(own, truths)
            ap50, ap50_95 = precisions.get(name, (None, None))
            species[name] = SpeciesAccuracy(
                truth=truths,
                found=len(own),
                ap50=ap50,
                ap50_95=ap50_95,
                best_f1=sweep.best(),
                curve=sweep.points(),
            )
    overall = Sweep.of(matches, len(true_boxes))
    uploaded = [box for box in found if box.score >= upload_threshold]
    matches_of_any_species, missed = match_boxes(with_crowds, uploaded, iou, by_species=False)
    pairs = confusion(matches_of_any_species, missed)
    columns = [*known, None]
    alarms = [each.box for each in matches_of_any_species if each.verdict == "false alarm"]
    counts = [[pairs[row, column] for column in columns] for row in columns]
    write_record(
        evaluation,
        EvaluationRecord(
            iou=iou,
            threshold=max(keep_threshold, upload_threshold),
            only_frames_with_truth=only_frames_with_truth,
            media=media,
            frames=len(in_truth | {box.picture for box in found}),
            truth=len(true_boxes),
            found=len(found),
            ap50=_mean([ap50 for ap50, _ in precisions.values()]),
            ap50_95=_mean([ap for _, ap in precisions.values()]),
            best_f1=overall.best(),
            curve=overall.points(),
            species=species,
            thresholds=by_threshold(matches, len(true_boxes), keep_threshold),
            double_counts=sum(each.verdict == "double" for each in matches_of_any_species),
            confusion=Confusion(species=known, counts=counts),
            missed=[_mistake(box, uploaded, records) for box in _worst(missed, pictures, _area)],
            false_alarms=[_mistake(box, true_boxes, records) for box in _worst(alarms, pictures, _score)],
        ),
    )


def _in_analysed_frames(truth: list[LabeledBox], outcomes: dict[int, DetectionRecord]) -> list[LabeledBox]:
    """Return the true boxes of frames that went through the network."""
    frames = {media_id: UsedFrames.of(outcome) for media_id, outcome in outcomes.items()}
    return [box for box in truth if box.picture[1] in frames.get(box.picture[0], ())]


def _in_pixels_of_the_file(
    truth: list[LabeledBox], outcomes: dict[int, DetectionRecord], sizes: dict[int, tuple[int, int]]
) -> list[LabeledBox]:
    """Return the true boxes in pixels of the files that were read, which may be smaller copies."""
    return [
        replace(box, xywh=scaled(box.xywh, sizes.get(box.picture[0]), (outcome.width, outcome.height)))
        for box in truth
        for outcome in [outcomes[box.picture[0]]]
    ]


def _found(media_id: int, csv: Path, names: list[str]) -> Iterator[LabeledBox]:
    for row in read_detections(csv):
        yield LabeledBox((media_id, row.frame), (row.x, row.y, row.w, row.h), names[row.species - 1], row.score)


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _area(box: LabeledBox) -> float:
    return box.xywh[2] * box.xywh[3]


def _score(box: LabeledBox) -> float:
    return box.score


def _worst(boxes: Iterable[LabeledBox], limit: int, how_bad: Callable[[LabeledBox], float]) -> list[LabeledBox]:
    """Return the boxes with the largest `how_bad`, no two of them in neighbouring frames of one media."""
    chosen: list[LabeledBox] = []
    shown: dict[int, list[int]] = defaultdict(list)
    for box in sorted(boxes, key=lambda box: (-how_bad(box), box.picture)):
        media_id, frame = box.picture
        if len(chosen) == limit:
            break
        if all(abs(frame - other) >= APART for other in shown[media_id]):
            chosen.append(box)
            shown[media_id].append(frame)
    return chosen


def _mistake(
    box: LabeledBox, others: Iterable[LabeledBox], records: dict[int, tuple[DetectionRecord, Path]]
) -> Mistake:
    """Return a mistake and those of `others` in the same frame, as shares of the picture's sides."""
    media_id, frame = box.picture
    outcome = records[media_id][0]
    width, height = outcome.width, outcome.height

    def share(box: LabeledBox) -> list[float]:
        x, y, w, h = box.xywh
        return [round(value, 5) for value in (x / width, y / height, w / width, h / height)]

    return Mistake(
        media_id=media_id,
        name=outcome.name,
        frame=frame,
        species=box.species,
        score=box.score,
        share=share(box),
        others=[
            NearbyBox(species=other.species, score=other.score, share=share(other))
            for other in others
            if other.picture == box.picture
        ],
    )


if __name__ == "__main__":
    job.run(evaluate, snakemake)  # type: ignore[name-defined]
