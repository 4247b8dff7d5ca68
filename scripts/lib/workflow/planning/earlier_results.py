"""Move results of earlier runs that the present settings do not make, so that they do not stand beside newer ones."""

import os
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from scripts.lib.workflow.planning.run_plan import RunPlan
from scripts.lib.workflow.planning.sub_folders import is_sub_folder

# In the run's folder; it has a folder for each run that moved something.
EARLIER = Path("results/earlier")

# The rules that make results also if no setting asks for them.
_RULES = {
    **dict.fromkeys(("results/tracks.coco.json", "results/mot", "results/viame"), "export_tracks"),
    **dict.fromkeys(("results/occurrences.csv", "results/maxn.txt"), "export_counts"),
    "results/tracks.zip": "crop_tracks",
    "results/detections.parquet": "export_parquet",
    "results/detections.megadetector.json": "export_megadetector",
    "results/yolo": "export_yolo",
    "results/cvat": "export_cvat",
    "results/detections.label_studio.json": "export_label_studio",
}


def optional_results(plan: RunPlan) -> Mapping[str, bool]:
    """Return whether a run makes each of the results that depend on settings, by path."""
    config = plan.config
    export, tracks = config["export"], bool(plan.tracks)
    return {
        "results/media.csv": plan.from_folder,
        "results/matches.csv": plan.from_folder and plan.uploads,
        "results/marks.json": plan.uploads,
        "results/uploads/{media_id}.json": plan.uploads,
        "results/counts_in_tator.json": bool(plan.count_attributes),
        "results/evaluation.json": plan.evaluated,
        "results/evaluation.zip": plan.evaluated,
        **dict.fromkeys(("results/tracks/{media_id}.csv", "results/tracks/{media_id}.json"), tracks),
        "results/tracks.zip": plan.tracks_in_pictures,
        "results/track_uploads/{media_id}.json": bool(plan.track_uploads),
        "results/track_evaluation.json": tracks and plan.tracks_evaluated,
        **dict.fromkeys(("results/tracks.coco.json", "results/mot", "results/viame"), export["tracks"]),
        **dict.fromkeys(("results/occurrences.csv", "results/maxn.txt"), export["counts"]),
        "results/detections.parquet": export["parquet"],
        "results/detections.megadetector.json": export["megadetector"],
        "results/yolo": export["yolo"],
        "results/cvat": export["cvat"],
        "results/detections.label_studio.json": export["label_studio"],
        "results/crops/{media_id}": export["crops"],
    }


def _is_named(pattern: str, arguments: Collection[str]) -> bool:
    """Return whether the command line names a result, a file in it, or its rule."""
    top = _top(pattern)
    return any(top == path or top in path.parents for path in map(Path, arguments)) or (
        _RULES.get(pattern) in arguments
    )


def move(plan: RunPlan, run_folder: Path, now: datetime, arguments: Collection[str] = ()) -> str | None:
    """Move such results to a folder with the present time in its name; return a message, or None if there were none.

    Other files in the folders of `results/` stay. A later run with the same settings as the earlier one makes the
    results again, as they are not at their places.

    Args:
        plan: the plan of the run.
        run_folder: the run's folder.
        now: the time for the name.
        arguments: the command line; results that it names stay, as the run makes them.
    """
    results = optional_results(plan).items()
    unplanned = [pattern for pattern, is_made in results if not is_made and not _is_named(pattern, arguments)]
    found = {pattern: list(_existing(pattern, run_folder)) for pattern in unplanned}
    if not any(found.values()):
        return None
    target = EARLIER / now.strftime("%Y-%m-%d_%H-%M-%S")
    for path in (path for paths in found.values() for path in paths):
        place = run_folder / target / path.relative_to("results")
        place.parent.mkdir(parents=True, exist_ok=True)
        (run_folder / path).rename(place)
    names = list(dict.fromkeys(str(_top(pattern)) for pattern, paths in found.items() if paths))
    return f"results that these settings do not make were moved to {target}/: {', '.join(names)}"


def _existing(pattern: str, run_folder: Path) -> Iterator[Path]:
    """Yield the existing files of a pattern, relative to the run's folder."""
    folder = _top(pattern)
    if folder == Path(pattern):
        if os.path.lexists(run_folder / folder):
            yield folder
        return
    if not (run_folder / folder).is_dir():
        return
    suffix = Path(pattern).suffix  # the name is a media's number

    def is_name(name: str) -> bool:
        number = name.removesuffix(suffix)
        return name == number + suffix and number.isascii() and number.isdigit()

    # os.listdir: a Path for each of many names takes longer than the listing
    for name in sorted(os.listdir(run_folder / folder)):  # noqa: PTH208
        if is_name(name):
            yield folder / name
        elif is_sub_folder(name):
            inside = os.listdir(run_folder / folder / name)  # noqa: PTH208
            yield from (folder / name / one for one in sorted(inside) if is_name(one))


def _top(pattern: str) -> Path:
    """Return a result's path, or the folder of a pattern with the number of a media."""
    path = Path(pattern)
    return path.parent if "{media_id}" in path.name else path
