"""Describe which file of a video was read, the numbers of its pictures, and its differences from Tator's record."""

import logging
import math

from scripts.lib.frames.source import Summary
from scripts.lib.records import WITH_RESULT, DownloadRecord, MediaRecord, Numbering

_log = logging.getLogger(__name__)

# The transcoder appends black pictures for this long, and rounds the length down.
_BLACK_SECONDS, _ROUNDED = 0.08, 2
_SAME_RATE = 0.001


def numbering_of(record: MediaRecord, download: DownloadRecord | None, summary: Summary) -> Numbering | None:
    """Return the record of a video's file and frame numbers; None for pictures and media without a file.

    Args:
        record: the record of resolve_media.
        download: the record of download_media, if there is one.
        summary: the summary of the video's frames.
    """
    if download is None or download.role is None or record.kind != "video":
        return None
    return Numbering(
        file=download.role,
        file_reason=download.role_reason,
        replaces_original=record.local is None and download.role != record.chosen_file.role,
        rate=round(summary.rate, 4) if summary.rate else None,
        numbers=summary.numbers,
        repeated=summary.repeated,
        left_out=summary.left_out,
        # The pictures of an original that is read in parts are not turned.
        turned=0 if download.role == "archival" and summary.numbered is None else summary.turned,
        disagreements=_disagreements(record, summary) if record.local is None else [],
    )


def with_disagreements(state: str, reason: str | None, numbering: Numbering | None) -> str | None:
    """Add differences between a media's files, and from Tator's record, to a reason; log them.

    Args:
        state: the state of the media; if it has no result, the reason is returned unchanged.
        reason: the reason for the state, if any.
        numbering: the result of numbering_of.
    """
    if numbering is None:
        return reason
    found = [*numbering.disagreements]
    if numbering.replaces_original:
        found.insert(0, f"Tator's streaming copy was read, as {numbering.file_reason}")
    repeated, left_out = numbering.repeated, numbering.left_out
    if repeated or left_out:
        found.insert(
            0,
            f"by their times {repeated} of its pictures have several frame numbers, and {left_out} have none, "
            "as the rate varies or pictures are missing",
        )
    for sentence in found:
        _log.warning("%s", sentence)
    if state not in WITH_RESULT:
        return reason
    return "; ".join([*([reason] if reason else []), *found]) or None


def _disagreements(record: MediaRecord, summary: Summary) -> list[str]:
    found = []
    width, height, fps, count = record.width, record.height, record.fps, record.num_frames
    if width and height and (width - height) * (summary.width - summary.height) < 0:
        read = f"{summary.width} x {summary.height}"
        found.append(f"Tator's record says {width} x {height} pixels, the pictures read are {read}")
    if fps and summary.rate and abs(fps / summary.rate - 1) > _SAME_RATE:
        found.append(f"Tator's record says {fps:.4f} pictures a second, the file {summary.rate:.4f}")
    if count and summary.read_to_end and not summary.damaged:
        black = math.ceil(_BLACK_SECONDS * (summary.rate or 25))
        if not summary.numbers - _ROUNDED <= count <= summary.numbers + black + 1:
            found.append(f"Tator's record says {count} frames, the file read has {summary.numbers}")
    if record.copy and summary.restarts:
        found.append(
            "its edit list takes pictures from several places, and in HEVC the copy may show others at some numbers: "
            "media.file: auto or streaming reads the copy"
        )
    return found
