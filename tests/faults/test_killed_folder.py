"""A run on a folder of many pictures, killed at any moment and started again: finished media are not processed again.

The variables KILLS (3), MEDIA (24) and KILLS_SEED (15) set the numbers of kills and pictures, and the seed by which the
moments are chosen: `KILLS=20 MEDIA=5000 pytest -n 0 tests/faults/test_killed_folder.py`, with `--log-cli-level INFO`
for the media lost in each kill. A run is killed at several moments, one after another, and started again after each.
When it is done, its results have to equal those of an undisturbed run.
"""

import hashlib
import json
import logging
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from scripts.lib.workflow.planning.sub_folders import sub_folder
from tests.conftest import SYNTHETIC
from tests.faults.site import Run
from tests.forks import Snakemake
from tests.workflow import command_line, environment

KILLS = int(os.environ.get("KILLS", "3"))
MEDIA = int(os.environ.get("MEDIA", "24"))
SEED = int(os.environ.get("KILLS_SEED", "15"))
IN_A_FOLDER = 500
PER_JOB = min(1024, 2 * MEDIA // 3)  # so that a small run has several jobs, too
# Keys that differ between equal runs: times. The page and the table show them too.
OF_TIME = ("seconds", "stages")
SHOW_TIMES = ("results/overview.html", "results/summary.txt")
# Media whose results are not synchronized yet and may be lost in a kill; see result_cache.py.
MOST_LOST = 256 * max(1, (os.cpu_count() or 1) // 4)  # detection asks for four threads

_log = logging.getLogger(__name__)

pytestmark = pytest.mark.timeout((KILLS + 2) * (120 + MEDIA // 5))


def pictures(folder: Path) -> None:
    """Write different pictures, most of them with an object."""
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
    """Return a record without the keys that differ between equal runs."""
    if isinstance(value, dict):
        return {name: timeless(each) for name, each in value.items() if name not in OF_TIME}
    return [timeless(each) for each in value] if isinstance(value, list) else value


def contents(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the path and hash of each result of a run."""
    for path in sorted((folder / "results").rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and name not in SHOW_TIMES:
            content = path.read_bytes()
            if path.suffix == ".json":
                content = json.dumps(timeless(json.loads(content))).encode()
            yield name, hashlib.sha256(content).hexdigest()


def names_in(folder: Path) -> list[str]:
    """Return the names in a folder; empty if it does not exist yet."""
    try:
        return os.listdir(folder)  # noqa: PTH208 - a Path for each of many names takes longer than the listing
    except FileNotFoundError:
        return []


@dataclass
class Attempt:
    """A run from one start to its end or kill."""

    folder: Path
    settings: dict[str, Any]
    begun: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        command = command_line(self.folder, settings=self.settings)
        self.batches_before, self.done_before = self.batches, self.done
        terminal = self.folder / "terminal.txt"
        terminal.write_bytes(b"")  # without the output of the previous attempt
        self.run = Run(Snakemake(command[3:], self.folder, environment({}), terminal), terminal)

    @property
    def outcomes(self) -> list[str]:
        found = names_in(self.folder / "results" / "detections")
        inside = [name for name in found if name.isdigit()]  # sub-folders
        if inside:
            found = [name for each in inside for name in names_in(self.folder / "results" / "detections" / each)]
        return found

    @property
    def done(self) -> int:
        """Return the number of media with a record of their detection."""
        return sum(name.endswith(".json") and not name.startswith(".") for name in self.outcomes)

    @property
    def batches(self) -> int:
        """Return the number of detection jobs that have written their output."""
        return sum(name.startswith("detected_") for name in names_in(self.folder / "resources" / "batches"))

    def kill(self) -> None:
        """Kill all processes and unlock the folder, as `snakemake --unlock` does."""
        self.run.kill()
        shutil.rmtree(self.folder / ".snakemake" / "locks", ignore_errors=True)

    def lost(self, kept: dict[int, int]) -> int:
        """Return the number of media that were processed since the start but are not in `kept`."""
        found = (path for path in (self.folder / "results" / "detections").rglob("[0-9]*.json"))
        return sum(path.stat().st_mtime >= self.begun and int(path.stem) not in kept for path in found)


Now = Callable[[Attempt], bool]


@dataclass(frozen=True)
class Moment:
    """When to kill a run.

    Attributes:
        name: the name of the moment.
        job: the rule whose job is running; empty while the run is planned.
        is_now: returns whether the moment has come.
        in_detection: whether to wait until a random number of further media are done.
    """

    name: str
    job: str = ""
    is_now: Now = lambda _: True
    in_detection: bool = False


def half_written(folder: str) -> Now:
    return lambda attempt: any(name.endswith(".part") for name in names_in(attempt.folder / folder))


def exists(name: str) -> Now:
    return lambda attempt: (attempt.folder / name).exists()


def boxes_without_record(attempt: Attempt) -> bool:
    names = [name for name in attempt.outcomes if not name.startswith(".")]
    return sum(name.endswith(".csv") for name in names) > sum(name.endswith(".json") for name in names)


def new_batch(attempt: Attempt) -> bool:
    return attempt.batches > attempt.batches_before


# In the order of a run; jobs after detection run in any order.
MOMENTS = (
    Moment("planning"),
    Moment("a write of list_media", "list_many", half_written("resources/records")),
    Moment("a write of detect", "detect_many", half_written("results/detections"), in_detection=True),
    Moment("planning, with a part of a job done"),
    Moment("boxes renamed, their record not written", "detect_many", boxes_without_record, in_detection=True),
    Moment("detection", "detect_many", in_detection=True),
    Moment("output of detect renamed, not recorded", "detect_many", new_batch),
)
MOMENTS_AFTER = (
    Moment("a write of merge_detections", "merge_detections", exists("results/.detections.csv.part")),
    Moment("an export", "export_yolo", exists("results/yolo")),
    Moment("a write of the page", "make_report", exists("results/.overview.html.part")),
    Moment("the end", "conclude", exists("results/outcome.txt")),
)


def is_over(moment: Moment, output: str) -> bool:
    """Return whether Snakemake's output says that the job of a moment is done."""
    return f"(Rule: {moment.job}" in output


def drawn(chance: random.Random, most: int) -> list[Moment]:
    """Return at most `most` of the moments, chosen at random, in an order in which they can occur."""
    some = chance.sample((*MOMENTS, *MOMENTS_AFTER), min(most, len(MOMENTS) + len(MOMENTS_AFTER)))
    return [each for each in MOMENTS if each in some] + [each for each in some if each in MOMENTS_AFTER]


def wait_for(attempt: Attempt, moment: Moment, chance: random.Random, planning: float) -> bool:
    """Wait for a moment; return whether it occurred before the run's end."""
    if not moment.job:
        return not attempt.run.ended_within(chance.uniform(0, planning))
    due = chance.randint(attempt.done_before + 1, max(attempt.done_before + 1, MEDIA)) if moment.in_detection else 0
    late = min(MEDIA, due + MEDIA // 20 + 1)  # some media are done before the first check
    has_begun = False
    while not attempt.run.ended_within(0.005 if has_begun else 0.05):
        text = attempt.run.text
        has_begun = f"rule {moment.job}" in text
        if has_begun and (done := attempt.done) >= due:
            missed = done >= late if moment.in_detection else is_over(moment, text)
            if missed or moment.is_now(attempt):
                return True
    return False


def finished(folder: Path) -> dict[int, int]:
    """Return the media whose results are kept completely, with the inode of the file of their boxes."""
    found = {}
    for place in (folder / "resources" / "finished").glob("*/*/"):
        links = {path.suffix: path.stat().st_ino for path in place.iterdir()}
        if {".0", ".1", ".2"} <= set(links):
            found[int(place.name)] = links[".0"]
    return found


def boxes_file(folder: Path, media_id: int) -> Path:
    flat = folder / "results" / "detections" / f"{media_id}.csv"
    return flat if flat.exists() else flat.parent / sub_folder(media_id) / flat.name


def killed(
    folder: Path, settings: dict[str, Any], moments: Sequence[Moment], chance: random.Random, planning: float
) -> tuple[dict[int, int], int]:
    """Kill a run at each of these moments unless it ends before; return the kept media and the number of kills."""
    kept, count, output = dict[int, int](), 0, ""
    for moment in moments:
        if moment in MOMENTS_AFTER and is_over(moment, output):
            continue
        attempt = Attempt(folder, settings)
        if not wait_for(attempt, moment, chance, planning):
            break
        attempt.kill()
        output += attempt.run.text
        kept, count = finished(folder) | kept, count + 1
        lost = attempt.lost(kept)
        _log.info("killed at %s: %d media kept, %d lost", moment.name, len(kept), lost)
        assert lost <= MOST_LOST
    return kept, count


def test_finished_media_are_not_processed_again(tmp_path: Path) -> None:
    survey = tmp_path / "survey"
    pictures(survey)
    settings = yaml.safe_load(
        f"media: {{folder: {survey}, per_job: {PER_JOB}}}\n"
        f"network: {{directory: {SYNTHETIC}}}\n"
        "detect: {img_max_side: 320, img_min_side: 180, keep_threshold: 0.3}\n"
        "export: {yolo: true}\n"
    )
    first = Attempt(tmp_path / "undisturbed", settings)
    while not names_in(first.folder / "logs") and not first.run.ended_within(0.01):
        pass
    planning = time.time() - first.begun
    assert first.run.wait() == 0, first.run.text
    _log.info("undisturbed: %.0f s, %.1f s of it until the first job", time.time() - first.begun, planning)
    expected = dict(contents(first.folder))
    assert len([name for name in expected if name.startswith("results/previews/")]) == MEDIA
    assert len((first.folder / "results" / "detections.csv").read_text().splitlines()) > MEDIA / 4

    chance, kills, runs, spared = random.Random(f"folder {SEED}"), 0, 0, 0
    while kills < KILLS:
        runs += 1
        folder, begun = tmp_path / f"run{runs}", time.time()
        kept, count = killed(folder, settings, drawn(chance, KILLS - kills), chance, planning)
        kills += count
        last = Attempt(folder, settings)
        assert last.run.wait() == 0, last.run.text
        _log.info("run %d: %d kills, done after %.0f s", runs, count, time.time() - begun)
        assert dict(contents(folder)) == expected
        assert not list(folder.rglob(".*.part"))
        again = [number for number, file in kept.items() if boxes_file(folder, number).stat().st_ino != file]
        assert not again
        spared += len(kept)
    assert spared
    _log.info(
        "%d kills in %d runs of %d media: %d media kept, none of them processed again", kills, runs, MEDIA, spared
    )
