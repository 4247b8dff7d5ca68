"""Measure the memory of the steps that read all media, with generated records.

`python -m benchmarks.step_memory STEP FOLDER` runs one step, in a folder that `make_run` filled, and prints its peak
memory in MB and its processor time in seconds.
"""

import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.many_in_tator import COUNTS, MARK, name_of, project_of, write_uploads
from benchmarks.measure import measured_process
from scripts.lib.evaluation.truth import LabeledBox, write_truth
from scripts.lib.folder_source.listing import LeftOut, ListedFile, Listing
from scripts.lib.folder_source.run_listing import LISTING, media_ids_of, write_listing
from scripts.lib.workflow.jobs import job
from scripts.lib.workflow.planning.batches import OF_EACH_MEDIA, batches, media_per_job
from scripts.lib.workflow.planning.media_files import FilesOfMedia
from scripts.lib.workflow.planning.sub_folders import file_of
from tests.workflow import ROOT

COMMANDS = ("compare_runs", "select_media", "watch_run")
STEPS = (
    *("merge_detections", "count_species", "tabulate_media", "summarize", "conclude", "export_megadetector"),
    *("export_parquet", "export_label_studio", "make_report", "export_cvat", "export_yolo", "evaluate"),
    *("export_counts", "get_truth", "get_attributes", "write_counts", "mark_processed", "match_media", "list_media"),
    *("resolve_media", *COMMANDS),
)
# Steps that use Tator.
_OF_TATOR = ("get_attributes", "write_counts", "mark_processed", "match_media", "resolve_media", "select_media")
# Largest number of media with true boxes, as people draw them.
_ANNOTATED = 1000
_BEGIN_OF_JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(90)
_SITE: dict[str, Any] = {"host": "https://tator.example.org", "project_id": 1}
# Largest number of links to a file; some file systems do not allow many more.
_LINKS = 20_000
_SETTINGS = {"media": {"folder": "survey"}}


def measure_memory(folder: Path, small: int, large: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield for each step its peak memory with few and with many media, and their ratio.

    Args:
        folder: the folder for the runs.
        small: the number of media of the small run.
        large: the number of media of the large run.
    """
    runs = {count: folder / f"media-{count}" for count in (small, large)}
    for count, run in runs.items():
        make_run(run, count)
    for step in STEPS:
        found = {count: _measured(step, run) for count, run in runs.items()}
        few, many = found[small], found[large]
        ms = 1000 * many["cpu_seconds"] / large
        yield step, {"few_mb": few["mb"], "many_mb": many["mb"], "ratio": many["mb"] / few["mb"], "ms_a_media": ms}


def make_run(folder: Path, count: int) -> None:
    """Write the files of the earlier jobs for `count` pictures, numbered from 1, with two boxes each."""
    from tests.report_run import FakeRun  # imports numpy and OpenCV, which some measured steps do not need

    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        of_one = FakeRun(Path(made))
        number = of_one.add("cam000/one.jpg", frames=1, kind="image", boxes=lambda _: [(0, 0.9), (1, 0.6)])
        of_one.finish()
        originals = {name: Path(made, pattern.format(media_id=number)) for name, (pattern, _) in OF_EACH_MEDIA.items()}
        records = {name: json.loads(originals[name].read_bytes()) for name in ("records", "outcomes")}
        files = []
        for media_id in range(1, count + 1):
            path = name_of(media_id)
            files.append(ListedFile(media_id, path, 1, 1))
            for name, (pattern, _) in OF_EACH_MEDIA.items():
                target = folder / file_of(pattern, media_id, in_folders=True)
                if not target.parent.exists():
                    target.parent.mkdir(parents=True)
                if name in records:
                    target.write_text(json.dumps({**records[name], "media_id": media_id, "name": path}))
                elif name != "uploads":
                    if media_id % _LINKS == 1:
                        originals[name] = target
                        target.write_bytes(Path(made, pattern.format(media_id=number)).read_bytes())
                    else:
                        os.link(originals[name], target)
        for shared in ("provenance.json", "train.ini"):
            target = folder / "resources" / "network" / shared
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((of_one.folder / "resources" / "network" / shared).read_bytes())
    write_listing(folder / LISTING, Listing("survey", files, LeftOut()))
    numbers = range(1, count + 1)
    pattern, _ = OF_EACH_MEDIA["uploads"]
    write_uploads(folder, numbers, FilesOfMedia(pattern, numbers, Path, in_folders=True))
    truth = (LabeledBox((media_id, 0), (1.0, 1.0, 9.0, 9.0), "cod") for media_id in numbers[:_ANNOTATED])
    write_truth(folder / "resources" / "truth.csv", truth)
    for media_id in _of_the_largest_job(numbers):
        picture = folder / "survey" / name_of(media_id)
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(_BEGIN_OF_JPEG)


def _shared_jobs(media_ids: Sequence[int]) -> list[list[int]]:
    return batches(media_ids, media_per_job("auto", len(media_ids)))


def _of_the_largest_job(media_ids: Sequence[int]) -> list[int]:
    return max(_shared_jobs(media_ids), key=len)


def _measured(step: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.step_memory", step, str(folder)]
    found: dict[str, float] = json.loads(measured_process(command, directory=ROOT).output)
    return found


def _arguments(step: str) -> dict[str, Any]:
    """Return the arguments of a step's function, as in its rule, for a run on a folder."""
    media_ids, results = media_ids_of(), Path("results")
    job_media = _of_the_largest_job(media_ids)

    def every(*names: str) -> dict[str, Any]:
        return {name: FilesOfMedia(OF_EACH_MEDIA[name][0], media_ids, Path, in_folders=True) for name in names}

    boxes = every("records", "outcomes", "detections")
    network = {"train_ini": Path("resources/network/train.ini")}
    known: dict[str, Callable[[], dict[str, Any]]] = {
        "merge_detections": lambda: {
            **every("detections", "outcomes"),
            **network,
            "merged": results / "detections.csv",
            "coco": results / "detections.coco.json",
        },
        "count_species": lambda: {
            **boxes,
            **network,
            "tracks": [],
            "attributes": [],
            "threshold": 0.5,
            "interval_seconds": 60.0,
            "counts": results / "counts.csv",
            "intervals": results / "counts_by_interval.csv",
        },
        "tabulate_media": lambda: {**every("records"), "listing": LISTING, "media_table": results / "media.csv"},
        "summarize": lambda: {
            **every("records", "outcomes"),
            "tracks": [],
            "provenance": Path("resources/network/provenance.json"),
            "on_damaged": "fail",
            "summary": results / "summary.json",
            "table": results / "summary.txt",
        },
        "conclude": lambda: {
            "summary": results / "summary.json",
            "table": results / "summary.txt",
            "outcome": results / "outcome.txt",
        },
        "make_report": lambda: {
            **boxes,
            **every("previews"),
            **network,
            "summary": results / "summary.json",
            "tracks": [],
            "counts": results / "counts.csv",
            "intervals": results / "counts_by_interval.csv",
            "evaluation": [],
            "keep_threshold": 0.3,
            "upload_threshold": 0.5,
            "media_in_detail": 20,
            "settings": _SETTINGS,
            "page": results / "overview.html",
        },
        "export_parquet": lambda: {
            **every("detections", "outcomes"),
            **network,
            "table": results / "detections.parquet",
        },
        "export_megadetector": lambda: {
            **boxes,
            **network,
            "provenance": Path("resources/network/provenance.json"),
            "keep_threshold": 0.3,
            "megadetector": results / "detections.megadetector.json",
        },
        "export_label_studio": lambda: {
            **boxes,
            **network,
            "provenance": Path("resources/network/provenance.json"),
            "label_studio": results / "detections.label_studio.json",
        },
        "export_cvat": lambda: {**boxes, **network, "cvat": results / "cvat"},
        "export_yolo": lambda: {**boxes, **network, "yolo": results / "yolo"},
    }
    known |= {
        "export_counts": lambda: {
            "counts": results / "counts.csv",
            "network": "network",
            "occurrences": results / "occurrences.csv",
            "max_n": results / "maxn.txt",
        },
        "get_truth": lambda: {
            **every("records"),
            **network,
            "truth_file": [Path("resources/truth.csv")],
            "truth": Path("resources/truth_of_run.csv"),
        },
        "evaluate": lambda: {
            **every("detections", "outcomes"),
            **network,
            "truth": Path("resources/truth.csv"),
            "iou": 0.5,
            "only_frames_with_truth": False,
            "pictures": 10,
            "keep_threshold": 0.3,
            "upload_threshold": 0.5,
            "evaluation": results / "evaluation.json",
        },
        "get_attributes": lambda: {
            **every("records"),
            **_SITE,
            "mark_attribute": MARK,
            "attributes": Path("resources/attributes.json"),
        },
        "mark_processed": lambda: {
            **every("uploads"),
            **_SITE,
            "attribute": MARK,
            "memory": Path("resources/written_marks.json"),
            "marks": results / "marks.json",
        },
        "write_counts": lambda: {
            **every("records", "outcomes", "uploads"),
            **_SITE,
            "counts": results / "counts.csv",
            "attributes": COUNTS,
            "memory": Path("resources/written_counts.json"),
            "counts_in_tator": results / "counts_in_tator.json",
        },
        "match_media": lambda: {
            **every("records"),
            **_SITE,
            "listing": LISTING,
            "match_by": "name",
            "media_ids": [],
            "mark_attribute": MARK,
            "matches": [Path(f"resources/matches/{some[0]}.json") for some in _shared_jobs(media_ids)],
            "match_table": results / "matches.csv",
        },
        # With the media of the largest shared job.
        "list_media": lambda: {
            "listing": LISTING,
            "kind": "any",
            "changed_by": "time",
            "records": [Path(f"resources/listed/{media_id}.json") for media_id in job_media],
            "batch": Path("resources/listed/batch.json"),
        },
        "resolve_media": lambda: {
            **_SITE,
            "media_ids": job_media,
            "kind": "any",
            "skip_processed": False,
            "mark_attribute": MARK,
            "records": [Path(f"resources/listed/{media_id}.json") for media_id in job_media],
            "batch": Path("resources/listed/batch.json"),
        },
    }
    return _of_command(step) if step in COMMANDS else known[step]()


def _of_command(name: str) -> dict[str, Any]:
    """Return the arguments of a command's function; imports modules that the steps do not need."""
    if name == "compare_runs":
        from scripts.lib.evaluation.comparison import run_side

        sides = {side: run_side(Path()) for side in ("before", "after")}
        return {**sides, "out": Path("comparison"), "score_change": 0.0}  # each box counts as changed
    if name == "select_media":
        from scripts.commands.select_media import MediaFilter

        return {**_SITE, "wanted": MediaFilter()}
    from rich.console import Console

    return {"folder": Path(), "console": Console(file=StringIO()), "pause": 0.0, "once": True}


def _discard(_: str) -> None:
    """Discard a message."""


def main(step: str, folder: str) -> None:
    """Run a step and print its memory and time."""
    os.chdir(folder)
    for name in ("resources/matches", "resources/listed"):
        Path(name).mkdir(exist_ok=True)
    script = import_module(f"scripts.commands.{step}" if step in COMMANDS else f"scripts.{step}")
    begun = time.process_time()
    arguments = _arguments(step)
    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(job, "tell_user", _discard))  # it would print a table of all media
        if step in _OF_TATOR:
            stack.enter_context(mock.patch.object(script, "Project", project_of(len(media_ids_of()))))
        getattr(script, step)(**arguments)
    # Not getrusage's peak, which starts with that of the parent process.
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    sys.stdout.write(json.dumps({"mb": int(peak) * 1024 / 1e6, "cpu_seconds": time.process_time() - begun}))


if __name__ == "__main__":
    main(*sys.argv[1:])
