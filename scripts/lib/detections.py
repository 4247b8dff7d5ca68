"""Write and read the detection CSV, in exactly the format of the reference workflow.

    video_id,frame,x,y,w,h,det_conf,det_species

`video_id` is `{media id}_{name without its extension}`; `frame` counts from 0; x, y, w, h are pixels of the media with
three decimals, such that x + w never exceeds the media's width; `det_conf` has the scores of all classes, joined by
`:`; `det_species` counts from 1.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

from scripts.lib.errors import PipelineError

if TYPE_CHECKING:  # reading needs no numpy
    from scripts.lib.frame_result import FrameResult

COLUMNS = ("video_id", "frame", "x", "y", "w", "h", "det_conf", "det_species")
HEADER = ",".join(COLUMNS)

_WHOLE = re.compile(r"[0-9]+")
_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Detection:
    """A row of the CSV: a box.

    Attributes:
        video_id: `{media id}_{name without its extension}`.
        frame: number of the frame, from 0.
        x: left edge in pixels of the media.
        y: top edge in pixels of the media.
        w: width in pixels of the media, above 0.
        h: height in pixels of the media, above 0.
        scores: the scores of all classes.
        species: the box's class, from 1.
    """

    video_id: str
    frame: int
    x: float
    y: float
    w: float
    h: float
    scores: tuple[float, ...]
    species: int

    @property
    def score(self) -> float:
        """The score of the box's class."""
        return self.scores[self.species - 1]


def video_id(media_id: int, name: str) -> str:
    """Return the id of a media in the CSV: its number and its name without the extension."""
    stem = name.rpartition(".")[0] or name
    if "/" in name.rpartition(".")[2]:  # the last dot is in a folder's name
        stem = name
    # A lone surrogate, which JSON can contain, cannot be encoded.
    return f"{media_id}_{stem}".encode("utf-8", "replace").decode("utf-8")


class DetectionWriter:
    """Writes the rows of one media; the constructor writes the header."""

    def __init__(self, stream: IO[str], video_id: str) -> None:
        self._stream = stream
        self._start = _quoted(video_id)
        stream.write(HEADER + "\n")

    def write(self, frames: "Sequence[FrameResult]") -> None:
        """Write the rows of frames: each box once for each number of its frame."""
        import numpy as np

        from scripts.lib.boxes import THOUSANDTHS
        from scripts.lib.text.decimals import joined_decimals

        frames = [each for each in frames if len(each.boxes)]
        if not frames:
            return
        boxes = np.concatenate([each.boxes for each in frames])
        labels = np.concatenate([each.labels for each in frames])
        scores = joined_decimals(np.concatenate([each.scores for each in frames]))
        # Formatting all numbers of a row at once takes a third of the time.
        row = ",%d.%03d" * 4 + ",%s,%d\n"
        places = np.stack(np.divmod(boxes, THOUSANDTHS), axis=2).reshape(len(boxes), 8).tolist()
        columns = zip(places, scores, (labels + 1).tolist(), strict=True)
        ends = iter([row % (*box, of_classes, label) for box, of_classes, label in columns])
        lines = []
        for each in frames:
            own = list(islice(ends, len(each.boxes)))
            for number in each.numbers:
                start = f"{self._start},{number}"
                lines += [start + end for end in own]
        self._stream.write("".join(lines))


def read_detections(path: Path) -> Iterator[Detection]:
    """Yield the rows of a detection CSV, and check each.

    Raises:
        PipelineError: a row is invalid; the message has the file, the line, the value and the expected value.
    """
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream, strict=True)
        try:
            header = next(rows, None)
            if header is None or tuple(header) != COLUMNS:
                found = repr(",".join(header)) if header else "nothing"
                raise PipelineError(f"{path}:1: the header is {found}; expected {HEADER!r}")
            previous: Detection | None = None
            for row in rows:
                previous = _parsed(row, f"{path}:{rows.line_num}", previous)
                yield previous
        except csv.Error as error:
            raise PipelineError(f"{path}:{rows.line_num}: not CSV: {error}; expected {HEADER!r}") from error
        except UnicodeDecodeError as error:
            raise PipelineError(f"{path}: not UTF-8 text: {error}") from error


def check_count(path: Path, rows: int, boxes: int) -> None:
    """Compare the number of a CSV's rows with its record, as a file that was cut at the end of a line has valid rows.

    Args:
        path: the CSV.
        rows: the number of its rows.
        boxes: the number of boxes in the record of detect.

    Raises:
        PipelineError: they differ.
    """
    if rows != boxes:
        raise PipelineError(
            f"{path}: it has {rows} rows, expected {boxes}, the boxes in {path.with_suffix('.json').name}; remove the "
            "file, and make it again by the same command"
        )


def _parsed(row: list[str], place: str, previous: Detection | None) -> Detection:
    """Return a row as a Detection; `previous` is the row before it."""
    if len(row) != len(COLUMNS):
        raise PipelineError(f"{place}: {len(row)} fields; expected {len(COLUMNS)}: {HEADER}")
    detection = Detection(
        video_id=row[0],
        frame=_whole(row[1], "frame", place),
        x=_decimal(row[2], "x", place),
        y=_decimal(row[3], "y", place),
        w=_decimal(row[4], "w", place),
        h=_decimal(row[5], "h", place),
        scores=tuple(_decimal(score, "det_conf", place) for score in row[6].split(":")),
        species=_whole(row[7], "det_species", place),
    )
    if not (detection.w > 0 and detection.h > 0):
        raise PipelineError(f"{place}: a box of {row[4]} x {row[5]} pixels; expected one with an area")
    if max(detection.scores) > 1:
        raise PipelineError(f"{place}: det_conf is {row[6]!r}; expected scores from 0 to 1")
    if not 1 <= detection.species <= len(detection.scores):
        raise PipelineError(
            f"{place}: det_species is {row[7]}; expected 1 to {len(detection.scores)}, as there are scores"
        )
    if previous is not None and len(previous.scores) != len(detection.scores):
        raise PipelineError(
            f"{place}: {len(detection.scores)} scores; expected {len(previous.scores)}, as in the row before"
        )
    if previous is not None and previous.video_id == detection.video_id and previous.frame > detection.frame:
        raise PipelineError(f"{place}: frame {detection.frame} after {previous.frame}; expected rising frames")
    return detection


def _whole(text: str, column: str, place: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise PipelineError(f"{place}: {column} is {text!r}; expected a whole number")
    return int(text)


def _decimal(text: str, column: str, place: str) -> float:
    if not _DECIMAL.fullmatch(text):
        raise PipelineError(f"{place}: {column} is {text!r}; expected a decimal number of at least 0")
    return float(text)


def _quoted(text: str) -> str:
    """Return a CSV field."""
    buffer = io.StringIO()
    # csv quotes CR only if rows end with it, and would quote an empty text that is the row's only field.
    csv.writer(buffer, lineterminator="\r\n").writerow([text, ""])
    return buffer.getvalue().removesuffix(",\r\n")
