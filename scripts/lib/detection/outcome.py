"""The outcome of detection in a media: its state and reason, and its log message."""

import logging

from scripts.lib.errors import MediaState
from scripts.lib.frames.source import Summary
from scripts.lib.metrics import count_media
from scripts.lib.records import DetectionRecord

_log = logging.getLogger(__name__)


def final_state(summary: Summary, boxes: int) -> tuple[MediaState, str | None]:
    """Return the state of a media that was read up to the last wanted frame, and its reason.

    Args:
        summary: the summary of its frames.
        boxes: number of boxes found.
    """
    if summary.skipped:
        _log.info("%d pictures before the first key frame cannot be decoded: left out", summary.skipped)
    if gaps := summary.gaps:
        _log.warning("%s", gaps)
    if summary.damaged:
        return "damaged", summary.damage
    reason = gaps or None
    if not summary.read_to_end:
        unread = f"nothing is asked for after frame {summary.numbers - 1}; what follows was not read"
        reason = "; ".join(each for each in (gaps, unread) if each)
    elif not summary.used:
        reason = f"none of its {summary.decoded} frames is asked for"
    elif summary.declared not in (None, summary.decoded):
        _log.warning("%d frames decoded, %d declared", summary.decoded, summary.declared)
    return ("done" if boxes else "no detections"), reason


def log_outcome(record: DetectionRecord, *, count: bool) -> None:
    """Log a record of detection and, if `count` is set, add it to the metrics."""
    frames = record.frames
    if count:
        count_media(record.state, frames.used, record.boxes, record.seconds)
    _log.info(
        "media %d: %s, %d frames decoded, %d of them through the network, %d boxes, %.1f s",
        *(record.media_id, record.state, frames.decoded, frames.used, record.boxes, record.seconds),
    )
