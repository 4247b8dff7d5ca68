"""Check that a file of the folder and its matched media in Tator have the same picture at each frame number."""

import math

from scripts.lib.records import DetectionRecord
from scripts.lib.records.match import MatchRecord

# As in scripts/lib/detection/numbering.py: Tator's transcoder appends black pictures, and rounds the number of frames.
_BLACK_SECONDS, _ROUNDED = 0.08, 2
# The largest relative differences of frame rates and of aspect ratios.
_SAME_RATE, _SAME_SHAPE = 0.001, 0.02


def difference(match: MatchRecord, found: DetectionRecord) -> str | None:
    """Return why boxes of a file cannot be uploaded to the media in Tator, or None.

    Args:
        match: the match of the media.
        found: the record of the detection in the file.
    """
    if found.kind != match.kind:
        return f"in Tator it is of the kind {match.kind}, here of the kind {found.kind}"
    if why := _shape_difference(match, found):
        return why
    return _numbering_difference(match, found) if found.kind == "video" else None


def _shape_difference(match: MatchRecord, found: DetectionRecord) -> str | None:
    if not (match.width and match.height and found.width and found.height):
        return None
    there, here = match.width / match.height, found.width / found.height
    # Browsers and this workflow rotate a picture by its EXIF tag, so Tator's size may be the rotated one.
    shapes = (here, 1 / here) if found.kind == "image" else (here,)
    if any(abs(there / shape - 1) <= _SAME_SHAPE for shape in shapes):
        return None
    return f"Tator says {match.width} x {match.height} pixels, the file has {found.width} x {found.height}"


def _numbering_difference(match: MatchRecord, found: DetectionRecord) -> str | None:
    numbering = found.numbering
    if numbering is None:
        return "the record of its detection does not say how its frames are numbered; remove that record, and run again"
    if numbering.turned is None:
        return "the file has a rotation, which Tator's copies ignore"
    rate, numbers = numbering.rate, numbering.numbers
    if match.fps and rate:
        ratio = abs(match.fps / rate - 1)
        uneven = bool(numbering.repeated or numbering.left_out)
        if ratio > _SAME_RATE or (uneven and ratio * numbers > 0.5):
            return f"Tator shows {match.fps:.4f} pictures a second, the file {rate:.4f}"
    if match.num_frames and found.frames.read_to_end:
        black = math.ceil(_BLACK_SECONDS * (rate or 25))
        if not numbers - _ROUNDED <= match.num_frames <= numbers + black + 1:
            return f"Tator says {match.num_frames} frames, the file has {numbers}"
    return None
