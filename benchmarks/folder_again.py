"""Measure repeated runs on small pictures in a folder: with nothing to do, and with one file changed."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.measure import measured_process
from scripts.lib.boxes import Size
from tests.workflow import ROOT, command_line, environment

# Sizes so small that Snakemake and the files cost more than the network.
PICTURE, INPUT = Size(32, 24), Size(64, 48)
_DISTINCT, _IN_A_FOLDER = 300, 1000
# The line of Snakemake's log with the name of a job.
_JOB = re.compile(r"^(?:local)?(?:rule|checkpoint) ([a-z_0-9]+):$", re.MULTILINE)


def measure_folder_again(folder: Path, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the cost of a first run and of repeated runs, with the default of `media.per_job`.

    Args:
        folder: the folder for the pictures and the run.
        count: the number of pictures.

    Raises:
        RuntimeError: a run failed.
    """
    survey, run = folder / "again-survey", folder / "again-run"
    _write_pictures(survey, count)
    settings = {
        "media": {"folder": str(survey)},
        "network": {"directory": str(ROOT / "tests" / "data" / "synthetic")},
        "detect": {"img_max_side": INPUT.width, "img_min_side": INPUT.height, "keep_threshold": 0.3},
    }
    command = command_line(run, settings=settings)
    for name in ("first", "nothing to do", "one changed"):
        if name == "one changed":
            path = next(survey.rglob("*.jpg"))
            path.write_bytes(_picture(np.random.default_rng(_DISTINCT)))
        begun = time.time()
        used = measured_process(command, directory=run, environ=environment({}))
        jobs = _jobs(run, begun)
        yield (
            name,
            {
                "media": count,
                "cpu_seconds": used.cpu,
                "list_jobs": sum(jobs[job] for job in jobs if job.startswith("list_")),
                "detect_jobs": sum(jobs[job] for job in jobs if job.startswith("detect")),
                "jobs": jobs.total(),
                "detected_media": sum(
                    path.stat().st_mtime >= begun for path in (run / "results" / "detections").rglob("*.csv")
                ),
            },
        )


def _write_pictures(folder: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    contents = [_picture(rng) for _ in range(min(count, _DISTINCT))]
    for number in range(count):
        path = folder / f"{number // _IN_A_FOLDER:04d}" / f"{number % _IN_A_FOLDER:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[number % _DISTINCT])


def _picture(rng: np.random.Generator) -> bytes:
    blots = rng.integers(0, 255, (PICTURE.height // 4, PICTURE.width // 4, 3), np.uint8)
    return cv2.imencode(".jpg", cv2.resize(blots, PICTURE))[1].tobytes()


def _jobs(run: Path, begun: float) -> Counter[str]:
    """Return the number of jobs of each rule that started since `begun`, from Snakemake's logs."""
    logs = [path for path in (run / ".snakemake" / "log").glob("*.log") if path.stat().st_mtime >= begun]
    return Counter(name for path in logs for name in _JOB.findall(path.read_text(encoding="utf-8")))
