"""Measure runs on files in a folder: planning, and the cost of a picture."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.case import DEFAULTS
from benchmarks.clips import SAMPLE, write_pictures
from benchmarks.folder_process import CLASSES, SIZE
from benchmarks.measure import cores, measured_process
from benchmarks.network import anchors
from scripts.lib.boxes import Size
from scripts.lib.graphs import nms_settings
from tests.workflow import ROOT, command_line, environment

# Variable with the path of a Python that has PyPI's package `megadetector`; without it there is no comparison.
PEER_VARIABLE = "MEGADETECTOR_PYTHON"
_IN_A_FOLDER = 1000
# Size of the pictures, a divisor of their number, and pictures per second of the engine. Small pictures at 50 per
# second are not measured: if the engine is the slowest part, a job takes the engine's time, and MegaDetector's script
# the sum of both.
SMALL, LARGE = Size(640, 480), Size(1920, 1080)
_CASES = ((SMALL, 1, "none"), (SMALL, 1, "300"), (LARGE, 10, "50"))


def measure_folder_planning(folder: Path, counts: Mapping[str, int]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the cost of a dry run for each number of empty files, by name; all files are new to the run."""
    for name, count in counts.items():
        survey, run = folder / f"survey-{name}", folder / f"plan-folder-{name}"
        for number in range(count):
            path = survey / f"{number // _IN_A_FOLDER:04d}" / f"{number % _IN_A_FOLDER:04d}.jpg"
            if number % _IN_A_FOLDER == 0:
                path.parent.mkdir(parents=True)
            path.touch()
        settings = {
            "media": {"folder": str(survey)},
            "network": {"directory": str(SAMPLE)},
            "detect": {"img_max_side": 640, "img_min_side": 480},
        }
        command = command_line(run, "--dry-run", "--quiet", "rules", settings=settings)
        used = measured_process(command, directory=run, environ=environment({}), watch_memory=True)
        yield name, {"media": count, "cpu_seconds": used.cpu, "mb": used.pss / 1e6}


def measure_folder_pictures(folder: Path, count: int, rounds: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the cost of a picture in shared jobs, without decoding, and compare it with MegaDetector's script.

    Args:
        folder: the folder for pictures and runs.
        count: number of small pictures; there are fewer large ones.
        rounds: number of rounds. The smallest processor time counts, since other programs can only increase it.
    """
    peer = os.environ.get(PEER_VARIABLE)
    for size, share, pace in _CASES:
        pictures = folder / f"pictures-{size.width}"
        if not pictures.exists():
            write_pictures(pictures, size, max(1, count // share))
        ours = [_run(folder, "step", pictures, pace) for _ in range(rounds)]
        decoding = [_run(folder, "decode", pictures, pace) for _ in range(rounds)]
        least, plain = min(one["cpu"] for one in ours), min(one["cpu"] for one in decoding)
        done = ours[0]["pictures"]
        found = {"pictures": done, "ms_of_decoding": 1000 * plain / done}
        found["ms_beside_decoding"] = 1000 * (least - plain) / done
        if peer:
            theirs = [_peer(folder, peer, pictures, pace) for _ in range(rounds)]
            found |= {
                "peer_cpu_ratio": min(one["cpu"] for one in theirs) / least,
                "peer_wall_ratio": min(one["wall"] for one in theirs) / min(one["wall"] for one in ours),
            }
        yield f"{size.width} x {size.height}, pace {pace}", found


def _run(folder: Path, way: str, pictures: Path, pace: str) -> dict[str, float]:
    place = folder / f"{way}-{pace}-{len(list(folder.iterdir()))}"
    place.mkdir()
    words = ["-m", "benchmarks.folder_process", way, str(pictures), str(place), str(cores()), pace]
    found: dict[str, float] = json.loads(measured_process([sys.executable, *words], directory=ROOT).output)
    return found


def _peer(folder: Path, python: str, pictures: Path, pace: str) -> dict[str, float]:
    script = str(ROOT / "benchmarks" / "megadetector_process.py")
    network = (*SIZE, len(anchors(SIZE)), CLASSES, DEFAULTS["keep_threshold"], nms_settings.DEFAULT.iou)
    words = [str(pictures), str(folder), "0", pace, *map(str, network)]
    output = measured_process([python, script, *words], directory=ROOT).output
    found: dict[str, float] = json.loads(output)
    return found
