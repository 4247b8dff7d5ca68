"""Compare two runs, or two versions in Tator: what appeared, vanished, changed its species or its score.

    python -m scripts.commands.compare_runs BEFORE AFTER [--out FOLDER]

BEFORE and AFTER are folders of runs, or `version:ID` for the boxes of a version in Tator, which needs --host,
--project, --type and TATOR_AUTH_TOKEN. Writes compare.html and compare.json.
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scripts.lib import command_line
from scripts.lib.colours import colour
from scripts.lib.display_text import short
from scripts.lib.errors import PipelineError
from scripts.lib.evaluation.comparison import Change, ComparedMedia, Side, changes, counted, run_side, version_side
from scripts.lib.files import write_json
from scripts.lib.pages import Drawn, PagePicture, write_page
from scripts.lib.previews import Album
from scripts.lib.server.api import Project

PICTURES, ROWS_SHOWN = 12, 200
_VERSION = "version:"


def compare_runs(before: Side, after: Side, out: Path, *, iou: float = 0.5, score_change: float = 0.1) -> None:
    """Write compare.json with every box that differs, and compare.html with the frames that differ most.

    Args:
        before: the first run.
        after: the second.
        out: the folder to write into.
        iou: boxes with at least this IoU are the same.
        score_change: by how much a score has to change to count as rescored.
    """
    both = [media_id for media_id in before.media if media_id in after.media]
    found = {
        media_id: list(changes(before.boxes(media_id), after.boxes(media_id), iou, score_change)) for media_id in both
    }
    everything = [change for each in found.values() for change in each]
    present = {box.species for change in everything for box in (change.before, change.after) if box}
    # The order of a run's own page, so that the colours are the same.
    order = list(dict.fromkeys([*after.classes, *before.classes, *sorted(present)]))
    species = [name for name in order if name in present]
    content: dict[str, Any] = {
        "before": before.title,
        "after": after.title,
        "iou": iou,
        "score_change": score_change,
        "only_before": [media_id for media_id in before.media if media_id not in after.media],
        "only_after": [media_id for media_id in after.media if media_id not in before.media],
        "totals": counted(everything),
        "species": _by_species(everything, species),
        "media": [
            {"media_id": media_id, "name": after.media[media_id].name, **counted(found[media_id])} for media_id in both
        ],
        "changes": [change.entry() for change in everything if change.kind != "same"],
    }
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "compare.json", content)
    ranked = sorted(content["media"], key=lambda line: line["same"] - sum(counted(found[line["media_id"]]).values()))
    write_page(
        "compare.html",
        out / "compare.html",
        title="Comparison of two runs",
        **{key: content[key] for key in ("before", "after", "only_before", "only_after", "totals", "species")},
        iou=iou,
        score_change=score_change,
        media=[{**line, "name": short(line["name"] or "")} for line in ranked[:ROWS_SHOWN]],
        left_out=max(0, len(ranked) - ROWS_SHOWN),
        pictures=_pictures(before, after, found, order),
        key=[{"name": name, "colour": colour(at)} for at, name in enumerate(order) if name in present],
    )


def _by_species(found: list[Change], species: list[str]) -> list[dict[str, Any]]:
    sides = {
        side: Counter(box.species for change in found if (box := getattr(change, side))) for side in ("before", "after")
    }
    became = Counter(
        (change.before.species, change.after.species)
        for change in found
        if change.kind == "changed species" and change.before and change.after
    )
    return [
        {
            "name": name,
            "before": sides["before"][name],
            "after": sides["after"][name],
            "became": {new: count for (old, new), count in became.most_common() if old == name},
        }
        for name in species
    ]


def _pictures(before: Side, after: Side, found: dict[int, list[Change]], species: list[str]) -> list[PagePicture]:
    """Return those frames with a picture in either run in which most boxes differ."""
    candidates = []
    for media_id, all_changes in found.items():
        by_frame = defaultdict(list)
        for change in all_changes:
            if change.kind != "same":
                by_frame[change.frame].append(change)
        albums = [Album.open(path) for side in (after, before) if (path := side.previews(media_id))]
        entries = {entry.frame: (album, entry) for album in reversed(albums) for entry in album.pictures}
        for frame in by_frame.keys() & entries.keys():
            candidates.append((-len(by_frame[frame]), media_id, frame, *entries[frame], by_frame[frame]))
    shown = sorted(candidates, key=lambda each: each[:3])[:PICTURES]
    return [
        PagePicture(
            address=album.picture(frame),
            width=entry.width,
            height=entry.height,
            boxes=[_drawn(change, after.media[media_id], species) for change in differing],
            title=f"{short(after.media[media_id].name or str(media_id))}, frame {frame:,}",
            why=", ".join(f"{count} {kind}" for kind, count in counted(differing).items() if count),
            link=f"#media-{media_id}",
        )
        for _, media_id, frame, album, entry, differing in shown
    ]


def _drawn(change: Change, media: ComparedMedia, species: list[str]) -> Drawn:
    box = change.after or change.before
    if box is None:
        raise ValueError("a change is of a box")
    x, y, w, h = box.xywh
    words = f"{short(box.species, 24)} {box.score:.2f}"
    if change.before and change.after:
        words = f"{short(change.before.species, 16)} {change.before.score:.2f} → {words}"
    return Drawn(
        *(x / media.width, y / media.height, w / media.width, h / media.height),
        words={"appeared": f"+ {words}", "vanished": f"- {words}"}.get(change.kind, words),
        colour=colour(species.index(box.species)),
        dashed=change.kind == "vanished",
    )


def main(arguments: list[str] | None = None) -> int:
    """Compare what the command line names; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.commands.compare_runs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("before", metavar="BEFORE")
    parser.add_argument("after", metavar="AFTER")
    parser.add_argument("--out", type=Path, default=Path("comparison"), help="folder to write into (%(default)s)")
    parser.add_argument("--iou", type=float, default=0.5, help="IoU from which two boxes are the same (%(default)s)")
    parser.add_argument(
        "--score-change", type=float, default=0.1, help="least change of a score to report (%(default)s)"
    )
    parser.add_argument("--host", help="Tator's address, https://HOST")
    parser.add_argument("--project", type=int)
    parser.add_argument("--type", type=int, help="number of the box type")
    parser.add_argument("--media", type=int, nargs="+", default=[], help="media to compare, for two versions")
    parser.add_argument("--species-attribute", default="Species")
    parser.add_argument("--confidence-attribute", default="Confidence")
    options = parser.parse_args(arguments)
    return command_line.run(lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    sides = _sides(options)
    compare_runs(*sides, options.out, iou=options.iou, score_change=options.score_change)
    sys.stdout.write(f"{options.out / 'compare.html'}\n")


def _sides(options: argparse.Namespace) -> tuple[Side, Side]:
    runs = {name: run_side(Path(name)) for name in (options.before, options.after) if not name.startswith(_VERSION)}
    media_ids = options.media or [media_id for run in runs.values() for media_id in run.media]
    before, after = (runs.get(name) or _version(name, media_ids, options) for name in (options.before, options.after))
    for side in (before, after):
        if absent := [media_id for media_id in options.media if media_id not in side.media]:
            raise PipelineError(
                f"--media: {side.title} has no media {', '.join(map(str, absent))}; it has {_some(side.media)}"
            )
    if not set(before.media) & set(after.media):
        raise PipelineError(
            f"{before.title} (media {_some(before.media)}) and {after.title} (media {_some(after.media)}) have no "
            "media in common; expected two runs, or versions, of the same media"
        )
    return before, after


def _some(media: Iterable[int]) -> str:
    ids = sorted(media)
    return f"{', '.join(map(str, ids[:5]))}{', ...' if len(ids) > 5 else ''}" if ids else "none"


def _version(name: str, media_ids: list[int], options: argparse.Namespace) -> Side:
    number = name.removeprefix(_VERSION)
    needed = {"--host": options.host, "--project": options.project, "--type": options.type, "--media": media_ids}
    missing = [option for option, value in needed.items() if not value]
    if missing or not (number.isascii() and number.isdigit() and len(number) < 20):
        raise PipelineError(f"{name}: expected version:NUMBER, with {', '.join(missing) or 'a number'}")
    return version_side(
        Project(options.host, options.project),
        int(number),
        media_ids,
        type_id=options.type,
        species=options.species_attribute,
        confidence=options.confidence_attribute,
    )


if __name__ == "__main__":
    sys.exit(main())
