"""How the boxes and tracks of a run compare with true ones."""

from dataclasses import dataclass
from typing import Annotated

from scripts.lib.records.keys import Count, MediaId, Name, Reason, Share
from scripts.lib.records.record_files import Key

_FOUR = {"type": "array", "minItems": 4, "maxItems": 4, "items": {"type": "number"}}


@dataclass(frozen=True, kw_only=True)
class BestF1:
    """The threshold with the best F1."""

    threshold: Share
    f1: Share
    precision: Share
    recall: Share


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Precision and recall as the threshold falls."""

    recall: list[Share]
    precision: list[Share]
    score: list[Share]


@dataclass(frozen=True, kw_only=True)
class SpeciesAccuracy:
    """How the boxes of one species compare."""

    truth: Count
    found: Count
    ap50: float | None
    ap50_95: float | None
    best_f1: Annotated[BestF1 | None, Key("Null without boxes.")]
    curve: Curve


@dataclass(frozen=True, kw_only=True)
class AtThreshold:
    """The results at one threshold."""

    threshold: Share
    precision: Share
    recall: Share
    f1: Share
    right: Count
    false_alarms: Count
    double_counts: Count
    missed: Count


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Numbers of boxes; a row is a true species, a column a found one; the last row and column are for no box."""

    species: list[str]
    counts: list[list[Count]]


@dataclass(frozen=True, kw_only=True)
class NearbyBox:
    """In a mistake's frame, a found box if the mistake is a missed one, or else a true box."""

    species: str
    score: Share
    share: Annotated[list[float], Key("x, y, width, height", schema=_FOUR)]


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A missed or wrong box, as shares of the picture's sides, and the found or true boxes in its frame."""

    media_id: MediaId
    name: Name
    frame: Count
    species: str
    score: Share
    share: Annotated[list[float], Key("x, y, width, height", schema=_FOUR)]
    others: list[NearbyBox]


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """How the boxes compare with true ones."""

    iou: Annotated[float, Key("The IoU from which a found box is correct.", part="share")]
    threshold: Annotated[float, Key("The least score for confusion, misses and false positives.", part="share")]
    only_frames_with_truth: bool
    media: Annotated[list[MediaId], Key("Media with a true box.")]
    frames: Count
    truth: Annotated[int, Key("True boxes.", part="count")]
    found: Annotated[int, Key("Found boxes.", part="count")]
    ap50: Annotated[float | None, Key("Mean over the true species.")]
    ap50_95: float | None
    best_f1: Annotated[BestF1 | None, Key("Null without boxes.")]
    curve: Curve
    species: dict[str, SpeciesAccuracy]
    thresholds: list[AtThreshold]
    double_counts: Annotated[
        int, Key("Duplicate detections: boxes that find a true box again, after another box.", part="count")
    ]
    confusion: Confusion
    missed: list[Mistake]
    false_alarms: list[Mistake]


@dataclass(frozen=True, kw_only=True)
class TrackScores:
    """How well tracks agree with true ones, from 0 to 1, by TrackEval; `mota` may be negative."""

    hota: Annotated[float, Key("Mean over the overlaps 0.05 to 0.95.", part="share")]
    deta: Annotated[float, Key("The part of `hota` for detection.", part="share")]
    assa: Annotated[float, Key("The part of `hota` for association.", part="share")]
    idf1: Share
    mota: float


@dataclass(frozen=True, kw_only=True)
class TrackAccuracy(TrackScores):
    """How the tracks of a video compare with true ones, whatever their species."""

    switches: Annotated[int, Key("Number of times that a true track continues under another number.", part="count")]
    fragments: Annotated[int, Key("Number of times that a true track is found again after a gap.", part="count")]
    true_tracks: Count
    found_tracks: Count
    true_boxes: Count
    found_boxes: Count


@dataclass(frozen=True, kw_only=True)
class MediaTrackAccuracy(TrackAccuracy):
    """How the tracks of one media of the run compare with true ones."""

    media_id: MediaId
    frames: Annotated[int, Key("Frames that went through the network.", part="count")]


@dataclass(frozen=True, kw_only=True)
class NotTracked:
    """A media with a true track that was not tracked."""

    media_id: MediaId
    reason: Reason


@dataclass(frozen=True, kw_only=True)
class TrackEvaluationRecord:
    """How the tracks of a run compare with true ones."""

    media: Annotated[list[MediaTrackAccuracy], Key("Videos with a true track.")]
    not_tracked: Annotated[list[NotTracked], Key("Media with a true track that were not tracked, and so do not count.")]
    mean: Annotated[TrackScores | None, Key("Means over the videos; null without one.")]
    with_filled_gaps: Annotated[bool, Key("Whether interpolated boxes counted as found.")]
