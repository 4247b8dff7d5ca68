"""A run on a folder of many pictures, killed at any moment and run again: what was finished is not done again.

The variables KILLS (2), MEDIA (60) and KILLS_SEED (0) say how many kills, how many pictures, and with which chance the
moments are drawn: `KILLS=20 MEDIA=5000 pytest -n 0 tests/faults/test_killed_folder.py`, with `--log-cli-level INFO` for
what was spared. A run goes on, life after life, until it is done or had all the kills; then it has to be equal to an
undisturbed one.
"""

import json
import logging
import os
import random
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from scripts.lib.workflow.sub_folders import sub_folder
from tests.conftest import SYNTHETIC
from tests.faults.site import Run
from tests.forks import Snakemake
from tests.workflow import command_line, environment, snakemake

KILLS = int(os.environ.get("KILLS", "2"))
MEDIA = int(os.environ.get("MEDIA", "60"))
SEED = int(os.environ.get("KILLS_SEED", "0"))
IN_A_FOLDER = 500
# What differs between equal runs: how long things took.
OF_TIME = ("seconds", "stages")

_log = logging.getLogger(__name__)

pytestmark = pytest.mark.timeout((KILLS + 2) * (120 + MEDIA // 5))


def pictures(folder: Path) -> None:
    """Write pictures, all different, most of which show an object."""
    video = cv2.VideoCapture(str(SYNTHETIC / "clip_910001.mp4"))
    frames = []
    while (read := video.read())[0] and len(frames) < 50:
        frames.append(read[1])
    for number in range(MEDIA):
        path = folder / f"{number // IN_A_FOLDER:03d}" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        moved = np.roll(frames[number % len(frames)], number // len(frames), axis=1)
        path.write_bytes(cv2.imencode(".jpg", moved)[1].tobytes())


def timeless(value: Any) -> Any:
    """Return a record without what differs between equal runs."""
    if isinstance(value, dict):
        return {name: timeless(each) for name, each in value.items() if name not in OF_TIME}
    return [timeless(each) for each in value] if isinstance(value, list) else value


def contents(folder: Path) -> Iterator[tuple[str, Any]]:
    """Yield what a run found, by the files that say so."""
    for path in sorted((folder / "results").rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".csv" or path.name.endswith(".coco.json"):
            yield name, path.read_bytes()
        elif path.suffix == ".json" and path.parent.name != "results":
            yield name, timeless(json.loads(path.read_text()))
        elif path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                yield name, [archive.read(member) for member in archive.namelist()]


def start(folder: Path, settings: dict[str, Any]) -> Run:
    words = command_line(folder, settings=settings)
    terminal = folder / "terminal.txt"
    return Run(Snakemake(words[3:], folder, environment({}), terminal), terminal)


def finished(folder: Path) -> dict[int, int]:
    """Return the media whose results are kept as a whole, and which file each one's boxes are."""
    found = {}
    for place in (folder / "resources" / "finished").glob("*/*/"):
        links = {path.suffix: path.stat().st_ino for path in place.iterdir()}
        if {".0", ".1", ".2"} <= set(links):
            found[int(place.name)] = links[".0"]
    return found


def finished_count(folder: Path) -> int:
    """Return of how many media results are kept."""
    return sum(1 for _ in (folder / "resources" / "finished").glob("*/*"))


def boxes_file(folder: Path, media_id: int) -> Path:
    flat = folder / "results" / "detections" / f"{media_id}.csv"
    return flat if flat.exists() else flat.parent / sub_folder(media_id) / flat.name


def test_what_was_finished_is_not_done_again(tmp_path: Path) -> None:
    survey = tmp_path / "survey"
    pictures(survey)
    settings = yaml.safe_load(
        f"media: {{folder: {survey}, per_job: auto}}\n"
        f"network: {{directory: {SYNTHETIC}}}\n"
        "detect: {img_max_side: 320, img_min_side: 180, keep_threshold: 0.3}\n"
    )
    begun = time.monotonic()
    assert start(tmp_path / "undisturbed", settings).wait() == 0
    seconds = time.monotonic() - begun
    expected = dict(contents(tmp_path / "undisturbed"))
    assert len([name for name in expected if name.startswith("results/previews/")]) == MEDIA
    assert len(expected["results/detections.csv"].splitlines()) > MEDIA / 4

    chance, had, runs, spared = random.Random(f"folder {SEED}"), 0, 0, 0
    while had < KILLS:
        runs += 1
        folder, kept = tmp_path / f"run{runs}", dict[int, int]()
        while had < KILLS:
            run = start(folder, settings)
            if had % 2 or len(kept) == MEDIA:
                over = run.ended_within(seconds * chance.uniform(0.1, 0.95))
            else:  # within a job, mostly: so many media more are finished
                count = chance.randint(len(kept) + 1, MEDIA)
                while not (over := run.ended_within(0.05)) and finished_count(folder) < count:
                    pass
            if over:
                break
            run.kill()
            had += 1
            kept = finished(folder) | kept
            unlocked = snakemake(folder, "--unlock", settings=settings)
            assert unlocked.returncode == 0, unlocked.stdout
        run = start(folder, settings)
        assert run.wait() == 0, run.text
        assert dict(contents(folder)) == expected
        assert not list(folder.rglob(".*.part"))
        again = [number for number, file in kept.items() if boxes_file(folder, number).stat().st_ino != file]
        assert not again
        spared += len(kept)
    _log.info(
        "%d kills in %d runs of %d media: %d media were finished before a kill, and not done again",
        had,
        runs,
        MEDIA,
        spared,
    )
