"""Read and write files of true tracks: CSV with a header, the format of a run, or MOT's ground truth of one video."""

import csv
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from scripts.lib.errors import PipelineError
from scripts.lib.evaluation.media_finder import MediaFinder, NamedMedia
from scripts.lib.evaluation.truth import LAST_FRAME, SIZE_COLUMNS, check_fields, has_area
from scripts.lib.files import replacing
from scripts.lib.text.display_text import short

EXPECTED = (
    "expected a CSV file with the columns frame, track (or id), x, y, w (or width), h (or height), and media_id or "
    "video_id where there is more than one media, frames from 0; or, for one video, MOT's gt.txt, without a header and "
    "with frames and pixels from 1"
)
_OTHER_NAMES = {
    **{"id": "track", "track_id": "track", "width": "w", "height": "h"},
    **{"bb_left": "x", "bb_top": "y", "bb_width": "w", "bb_height": "h"},
}
_NEEDED = {"frame", "track", "x", "y", "w", "h"}
_MOT = ("frame", "track", "x", "y", "w", "h", "counts")
# A file of tracks of this workflow also has the columns x, y, z of MOT, which are not the box's position.
_MOT_PLACE = {"bb_left", "bb_top", "bb_width", "bb_height"}


@dataclass(frozen=True, slots=True)
class TrackedBox:
    """A box of a track, true or found.

    Attributes:
        frame: number of the frame.
        track: number of the track.
        xywh: left, top, width, height in pixels.
    """

    frame: int
    track: int
    xywh: tuple[float, float, float, float]


def write_true_tracks(
    path: Path,
    tracks: Mapping[int, Sequence[TrackedBox]],
    sizes: Mapping[int, tuple[int, int]] = MappingProxyType({}),
) -> None:
    """Write true tracks in the format of a run, which read_true_tracks reads.

    Args:
        path: the CSV file to write.
        tracks: the boxes of the tracks, by media id.
        sizes: by media, the width and height that the coordinates refer to, of boxes from Tator.
    """
    with replacing(path) as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(("media_id", "frame", "track", "x", "y", "w", "h", *SIZE_COLUMNS))
        for media_id, boxes in sorted(tracks.items()):
            size = sizes.get(media_id, ("", ""))
            for box in sorted(boxes, key=lambda box: (box.frame, box.track)):
                rows.writerow([media_id, box.frame, box.track, *(f"{value:.3f}" for value in box.xywh), *size])


def read_true_tracks(path: Path, media: Iterable[NamedMedia]) -> dict[int, list[TrackedBox]]:
    """Return the boxes of the true tracks, by media id; tracks of other media are left out, and their number is logged.

    Args:
        path: the file of true tracks.
        media: the run's media.

    Raises:
        PipelineError: the file cannot be used, or has no track of the run's media; the message names the file, the line
            and what was expected.
    """
    found: dict[int, list[TrackedBox]] = {}
    with closing(MediaFinder(media)) as finder:
        for media_id, box in tracked_boxes_of(path, finder):
            found.setdefault(media_id, []).append(box)
        finder.report_left_out(path, "true track", found=bool(found))
    return found


def tracked_boxes_of(path: Path, finder: MediaFinder) -> Iterator[tuple[int, TrackedBox]]:
    """Yield each box of a file's tracks with its media id; boxes of media that the finder does not have are left out.

    Raises:
        PipelineError: as in read_true_tracks.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream)
            first = next((row for row in rows if row), None)
            if first is None:
                raise PipelineError(f"{path}: it is empty; {EXPECTED}")
            mot = first[0].strip().lstrip("-").isdigit()
            names = list(_MOT) if mot else _names(first)
            if missing := _NEEDED - set(names):
                raise PipelineError(f"{path}: it has no column {', '.join(sorted(missing))}; {EXPECTED}")
            seen: set[tuple[int, int, int]] = set()
            for row in itertools.chain([first] if mot else [], rows):
                if not row:
                    continue
                place = f"{path}:{rows.line_num}"
                check_fields(place, names, () if mot else row[len(names) :])  # MOT has columns that are not used
                try:
                    fields = dict(zip(names, row, strict=False))
                    if mot and fields.get("counts", "1").strip() == "0":  # MOT marks boxes that are ignored by 0
                        continue
                    if missing := _NEEDED - fields.keys():
                        raise PipelineError(f"{place}: too few fields, no {', '.join(sorted(missing))}; {EXPECTED}")
                    box = _parsed(fields, from_one=mot)
                except ValueError as error:
                    raise PipelineError(f"{place}: {error}; {EXPECTED}") from None
                media_id = _media(fields, finder, place)
                if media_id is None:
                    finder.leave_out(fields.get("media_id") or fields.get("video_id"))
                    continue
                if (media_id, box.frame, box.track) in seen:
                    raise PipelineError(
                        f"{place}: track {box.track} has two boxes in frame {box.frame}; expected one at most"
                    )
                seen.add((media_id, box.frame, box.track))
                yield media_id, box
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path}: not UTF-8 text: {error}; {EXPECTED}") from error
    except csv.Error as error:
        raise PipelineError(f"{path}: not CSV: {error}; {EXPECTED}") from error


def _names(header: Sequence[str]) -> list[str]:
    """Return the columns by the names used here; x, y, z of a file of this workflow get names that are not used."""
    columns = [name.strip() for name in header]
    ours = set(columns) >= _MOT_PLACE
    return [f"mot {name}" if ours and name in ("x", "y", "z") else _OTHER_NAMES.get(name, name) for name in columns]


def _parsed(row: Mapping[str, str], *, from_one: bool) -> TrackedBox:
    frame, track = int(row["frame"]) - from_one, int(row["track"])
    x, y, w, h = (float(row[key]) for key in ("x", "y", "w", "h"))
    x, y = x - from_one, y - from_one
    if not 0 <= frame <= LAST_FRAME or abs(track) > LAST_FRAME:
        raise ValueError(f"frame {short(row['frame'])}, track {short(row['track'])}")
    if not (
        has_area((x, y, w, h))
        and w < float("inf")
        and h < float("inf")
        and abs(x) < float("inf")
        and abs(y) < float("inf")
    ):
        raise ValueError(f"a box of {row['w']} x {row['h']} pixels at {row['x']}, {row['y']}")
    return TrackedBox(frame, track, (x, y, w, h))


def _media(row: Mapping[str, str], finder: MediaFinder, place: str) -> int | None:
    if row.get("media_id"):
        try:
            return finder.by_id(int(row["media_id"]))
        except ValueError:
            raise PipelineError(f"{place}: media_id is {row['media_id']!r}; {EXPECTED}") from None
    return finder.by_name(row["video_id"]) if row.get("video_id") else finder.only(place)
