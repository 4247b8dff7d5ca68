"""Compare two runs, or two versions in Tator: which boxes appeared, vanished, or changed their species or score.

    python -m scripts.commands.compare_runs BEFORE AFTER [--out FOLDER]

BEFORE and AFTER are folders of runs, or `version:ID` for the boxes of a version in Tator, which needs --host,
--project, --type and TATOR_AUTH_TOKEN. Writes compare.html and compare.json.
"""

import argparse
import sys
from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from scripts.lib import command_line, tator_options
from scripts.lib.errors import PipelineError
from scripts.lib.evaluation.compared_media import ComparedMedia, in_frames_of, in_pixels_of
from scripts.lib.evaluation.comparison import (
    KIND_TEXTS,
    KINDS,
    Change,
    MediaOfSide,
    Side,
    changes,
    count_kinds,
    measured,
    run_side,
    version_side,
)
from scripts.lib.evaluation.comparison_file import ListOnDisk, write_content
from scripts.lib.files import naming_full_disk
from scripts.lib.pages import write_page
from scripts.lib.pages.chosen_media import Largest
from scripts.lib.pages.drawn_boxes import DrawnBox, PagePicture
from scripts.lib.pictures.album import Album, AlbumPicture
from scripts.lib.pictures.colours import colour
from scripts.lib.server.api import Project
from scripts.lib.text.display_text import short

PICTURES, ROWS_SHOWN = 12, 200
_VERSION = "version:"
_LISTS_OF_MEDIA = ("only_before", "only_after", "not_analysed_before", "not_analysed_after")


def compare_runs(
    before: Side, after: Side, out: Path, *, iou: float = 0.5, score_change: float = 0.1, threshold: float = 0.0
) -> None:
    """Write compare.json with every box that differs, and compare.html with the frames that differ most.

    Media that one side has no result of, and boxes in frames that did not go through the network of the other side, are
    not compared, but named.

    Args:
        before: the first run.
        after: the second run.
        out: the folder to write into.
        iou: the least IoU of two boxes that count as the same.
        score_change: the least change of a score that counts.
        threshold: the least score of a box of a run, of which the sides have no others.
    """
    out.mkdir(parents=True, exist_ok=True)
    tally = Tally()
    ranked = Largest[dict[str, Any]](ROWS_SHOWN, lambda line: (sum(line[kind] for kind in KINDS) - line["same"],))
    frames = Largest[DifferingFrame](PICTURES, lambda one: (len(one.changes), -one.media_id, -one.frame))
    only_before, only_after = (
        array("q", (media_id for media_id in one.media if media_id not in other.media))
        for one, other in ((before, after), (after, before))
    )
    not_analysed, compared = {"before": array("q"), "after": array("q")}, 0
    other_frames = {"before": 0, "after": 0}
    with naming_full_disk(out), ExitStack() as stack:
        names = (*_LISTS_OF_MEDIA, "media", "changes")
        lists = {name: ListOnDisk(stack.enter_context(_temporary(out))) for name in names}
        lists["only_before"].extend(only_before)
        lists["only_after"].extend(only_after)
        for media_id in before.media:
            if media_id not in after.media:
                continue
            first, second = before.media[media_id], after.media[media_id]
            if not (first.is_analysed and second.is_analysed):
                for side, media in (("before", first), ("after", second)):
                    if not media.is_analysed:
                        not_analysed[side].append(media_id)
                continue
            compared += 1
            media = second if second.width and second.height else first
            every = {"before": before.boxes(media_id), "after": after.boxes(media_id)}
            old, new = in_frames_of(every["before"], second), in_frames_of(every["after"], first)
            other_frames["before"] += len(every["before"]) - len(old)
            other_frames["after"] += len(every["after"]) - len(new)
            found = list(changes(in_pixels_of(old, first, media), new, iou, score_change))
            tally.add(found)
            line = {"media_id": media_id, "name": media.name, **count_kinds(found)}
            lists["media"].extend([line])
            lists["changes"].extend(change.entry() for change in found if change.kind != "same")
            ranked.add(line)
            for frame in _differing_frames(before, after, media_id, found, frames):
                frames.add(frame)
        for side, ids in not_analysed.items():
            lists[f"not_analysed_{side}"].extend(ids)
        # The order of the runs' pages, so that the colours are the same.
        order = list(dict.fromkeys([*after.classes, *before.classes, *sorted(tally.present)]))
        shared: dict[str, Any] = {
            "before": before.title,
            "after": after.title,
            "totals": tally.totals,
            "species": tally.by_species([name for name in order if name in tally.present]),
            "iou": iou,
            "score_change": score_change,
            "threshold": threshold,
            "boxes_in_other_frames": other_frames,
        }
        settings_used = ("before", "after", "iou", "score_change", "threshold")
        keys = (*settings_used, *_LISTS_OF_MEDIA, "boxes_in_other_frames", "totals", "species", "media", "changes")
        write_content(out / "compare.json", {key: (shared | lists)[key] for key in keys})
    listed = ranked.sorted
    listed_ids = {line["media_id"] for line in listed}
    write_page(
        "compare.html",
        out / "compare.html",
        title="Comparison of two runs",
        **shared,
        kind_texts=KIND_TEXTS,
        only_before=only_before,
        only_after=only_after,
        not_analysed=not_analysed,
        has_all_scores=before.is_run != after.is_run and not threshold,
        media=[{**line, "name": short(line["name"] or "")} for line in listed],
        left_out=max(0, compared - ROWS_SHOWN),
        pictures=[
            _picture(frame, measured(before, after, frame.media_id), order, listed_ids) for frame in frames.sorted
        ],
        key=[{"name": name, "colour": colour(at)} for at, name in enumerate(order) if name in tally.present],
    )


def _temporary(folder: Path) -> IO[str]:
    """Return a temporary text file without a name in a folder."""
    return TemporaryFile("w+", encoding="utf-8", newline="", dir=folder)


class Tally:
    """Counts of all changes, to which media are added one by one.

    Attributes:
        present: the species of all boxes.
    """

    def __init__(self) -> None:
        self.present: set[str] = set()
        self._kinds: Counter[str] = Counter()
        self._before: Counter[str] = Counter()
        self._after: Counter[str] = Counter()
        self._became: Counter[tuple[str, str]] = Counter()

    def add(self, found: Iterable[Change]) -> None:
        """Add the changes of a media."""
        for change in found:
            self._kinds[change.kind] += 1
            for box, counts in ((change.before, self._before), (change.after, self._after)):
                if box:
                    self.present.add(box.species)
                    counts[box.species] += 1
            if change.kind == "changed species" and change.before and change.after:
                self._became[change.before.species, change.after.species] += 1

    @property
    def totals(self) -> dict[str, int]:
        """The number of changes of each kind."""
        return {kind: self._kinds[kind] for kind in KINDS}

    def by_species(self, species: Iterable[str]) -> list[dict[str, Any]]:
        """Return, for each of these species, its boxes before and after, and the species that they changed to."""
        return [
            {
                "name": name,
                "before": self._before[name],
                "after": self._after[name],
                "became": {new: count for (old, new), count in self._became.most_common() if old == name},
            }
            for name in species
        ]


@dataclass(frozen=True)
class DifferingFrame:
    """A frame with a picture in at least one of the runs, and the changes in it."""

    media_id: int
    frame: int
    album: Album
    picture: AlbumPicture
    changes: list[Change]


def _differing_frames(
    before: Side, after: Side, media_id: int, found: Iterable[Change], chosen: Largest[DifferingFrame]
) -> Iterator[DifferingFrame]:
    """Yield a media's changed frames that have a picture; none if they have too few changes to be chosen."""
    by_frame = defaultdict(list)
    for change in found:
        if change.kind != "same":
            by_frame[change.frame].append(change)
    if not by_frame or not chosen.would_keep((max(map(len, by_frame.values())), -media_id, 0)):
        return
    albums = [Album.open(path) for side in (after, before) if (path := side.previews(media_id))]
    entries = {entry.frame: (album, entry) for album in reversed(albums) for entry in album.pictures}
    for frame in by_frame.keys() & entries.keys():
        yield DifferingFrame(media_id, frame, *entries[frame], by_frame[frame])


def _picture(shown: DifferingFrame, media: ComparedMedia, species: list[str], listed: Collection[int]) -> PagePicture:
    """Return a frame's picture, which leads to its media if that is listed."""
    return PagePicture(
        address=shown.album.picture(shown.frame),
        width=shown.picture.width,
        height=shown.picture.height,
        boxes=[_drawn(change, media, species) for change in shown.changes],
        title=f"{short(media.name or str(shown.media_id))}, frame {shown.frame:,}",
        why=", ".join(f"{count} {KIND_TEXTS[kind]}" for kind, count in count_kinds(shown.changes).items() if count),
        link=f"#media-{shown.media_id}" if shown.media_id in listed else None,
    )


def _drawn(change: Change, media: ComparedMedia, species: list[str]) -> DrawnBox:
    box = change.after or change.before
    if box is None:
        raise ValueError("the change has no box, neither before nor after")
    x, y, w, h = box.xywh
    label = f"{short(box.species, 24)} {box.score:.2f}"
    if change.before and change.after:
        label = f"{short(change.before.species, 16)} {change.before.score:.2f} → {label}"
    return DrawnBox(
        *(x / media.width, y / media.height, w / media.width, h / media.height),
        label={"appeared": f"+ {label}", "vanished": f"- {label}"}.get(change.kind, label),
        colour=colour(species.index(box.species)),
        dashed=change.kind == "vanished",
    )


def main(arguments: list[str] | None = None) -> int:
    """Compare the runs or versions that the command line names; return the exit code."""
    parser = command_line.Parser(
        prog="python -m scripts.commands.compare_runs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("before", type=command_line.not_empty, metavar="BEFORE")
    parser.add_argument("after", type=command_line.not_empty, metavar="AFTER")
    parser.add_argument(
        "--out", type=command_line.output_folder, default="comparison", help="folder to write into (%(default)s)"
    )
    parser.add_argument(
        "--iou", type=command_line.share, default=0.5, help="IoU from which two boxes are the same (%(default)s)"
    )
    parser.add_argument(
        "--score-change", type=command_line.share, default=0.1, help="least change of a score to report (%(default)s)"
    )
    parser.add_argument(
        "--threshold",
        type=command_line.share,
        default=0.0,
        help="least score of a run's box; to compare with a version: upload.threshold (default: all boxes)",
    )
    parser.add_argument("--host", help="Tator's address, https://HOST")
    parser.add_argument("--project", type=tator_options.identifier)
    parser.add_argument("--type", type=tator_options.identifier, help="number of the box type")
    parser.add_argument(
        "--media",
        action="extend",
        type=tator_options.identifier,
        nargs="+",
        default=[],
        help="media to compare (default: those of the runs)",
    )
    parser.add_argument("--species-attribute", default="Species")
    parser.add_argument("--confidence-attribute", default="Confidence")
    options = parser.parse_args(arguments)
    return command_line.run(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    sides = _sides(options)
    compare_runs(*sides, options.out, iou=options.iou, score_change=options.score_change, threshold=options.threshold)
    sys.stdout.write(f"{options.out / 'compare.html'}\n")


def _sides(options: argparse.Namespace) -> tuple[Side, Side]:
    folders = (name for name in (options.before, options.after) if not name.startswith(_VERSION))
    runs = {name: run_side(Path(name), options.threshold) for name in folders}
    media_ids: Sequence[int] = list(dict.fromkeys(options.media))
    media_ids = media_ids or array("q", (media_id for run in runs.values() for media_id in run.media))
    before, after = (runs.get(name) or _version(name, media_ids, options) for name in (options.before, options.after))
    for side in (before, after):
        if absent := [media_id for media_id in options.media if media_id not in side.media]:
            raise PipelineError(
                f"--media: {side.title} has no media {', '.join(map(str, absent))}; it has {_some(side.media)}"
            )
    if options.media:
        before, after = (
            replace(side, media=MediaOfSide(media_ids, side.media.__getitem__)) for side in (before, after)
        )
    if not any(media_id in after.media for media_id in before.media):
        raise PipelineError(
            f"{before.title} (media {_some(before.media)}) and {after.title} (media {_some(after.media)}) have no "
            "media in common; expected two runs, or versions, of the same media"
        )
    return before, after


def _some(media: Iterable[int]) -> str:
    ids = sorted(media)
    return f"{', '.join(map(str, ids[:5]))}{', ...' if len(ids) > 5 else ''}" if ids else "none"


def _version(name: str, media_ids: Sequence[int], options: argparse.Namespace) -> Side:
    number = name.removeprefix(_VERSION)
    needed = {"--host": options.host, "--project": options.project, "--type": options.type, "--media": media_ids}
    missing = [option for option, value in needed.items() if not value]
    if missing or not (number.isascii() and number.isdigit() and len(number) < 20):
        raise PipelineError(f"{name}: expected version:NUMBER, with {', '.join(missing) or 'a number'}")
    return version_side(
        Project(tator_options.site(options.host, "--host"), options.project),
        int(number),
        media_ids,
        type_id=options.type,
        species=options.species_attribute,
        confidence=options.confidence_attribute,
    )


if __name__ == "__main__":
    sys.exit(main())
