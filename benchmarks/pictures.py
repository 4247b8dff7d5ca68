"""Measure jobs with many pictures."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.case import BATCH_SIZE, DEFAULTS, Case
from benchmarks.inside import bare, fitted, open_case
from benchmarks.measure import Usage, cores, measured
from benchmarks.run import Run
from scripts.lib.records.record_files import write_record
from tests.made_records import provenance


def measure_pictures(run: Run, case: Case, pictures: Sequence[Path], jobs: list[list[int]]) -> dict[str, Any]:
    """Compare the processes of jobs with an open engine in a plain loop.

    Args:
        run: the run; its media are resolved, but detection has not run.
        case: the network.
        pictures: pictures for the plain loop, which repeats them.
        jobs: the media of each job; after each job the engine processes the same number of pictures.
    """
    ready, _ = fitted(pictures, "image", case.size)
    steps, bares = [], []
    with open_case(case) as engine:
        bare(engine, ready[:2])
        for media_ids in jobs:
            turn = [ready[number % len(ready)] for number in range(-(-len(media_ids) // BATCH_SIZE))]
            steps.append(_detect(run, case, media_ids))
            bares.append(measured(partial(bare, engine, turn)))
    return {
        "pictures": sum(map(len, jobs)),
        "jobs": len(jobs),
        "ratio": sum(used.wall for used in bares) / sum(used.wall for used in steps),
        "cpu_ratio": sum(used.cpu for used in bares) / sum(used.cpu for used in steps),
        "bare_cpu_seconds": sum(used.cpu for used in bares),
        "jobs_cpu_seconds": sum(used.cpu for used in steps),
    }


def _detect(run: Run, case: Case, media_ids: list[int]) -> Usage:
    for folder in ("detections", "previews"):
        (run.folder / "results" / folder).mkdir(parents=True, exist_ok=True)
    write_record(run.folder / "provenance.json", provenance("a benchmark"))
    asked = ("keep_threshold", "batch_size", "frame_stride", "frame_range", "max_frames")
    return run.step(
        "detect",
        rule="detect_many",
        **run.site,
        records=run.files("resources/records/{media_id}.json", media_ids),
        graph=str(case.graph),
        train_ini=str(case.train_ini),
        provenance="provenance.json",
        changes=[],
        media=run.files("resources/media/{media_id}", media_ids),
        detections=run.files("results/detections/{media_id}.csv", media_ids),
        outcomes=run.files("results/detections/{media_id}.json", media_ids),
        previews=run.files("results/previews/{media_id}.zip", media_ids),
        batch="detected.json",
        finished="resources/finished",
        keep_files=False,
        prefetch_mb=4000,
        img_max_side=case.size.width,
        img_min_side=case.size.height,
        **{key: DEFAULTS[key] for key in asked},
        engine="openvino",
        precision=case.precision,
        engines="resources/engines",
        nms=None,
        pixels=None,
        first_label=None,
        code_hash="",
        threads=cores(),
    )
