"""Measure whole processes: their speed compared with another program, their memory, and the time to start."""

import json
import shlex
import shutil
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.case import BATCH_SIZE, THRESHOLD, Case, step_arguments
from benchmarks.measure import Usage, cores, in_turns, measured_process, quiet, spread
from scripts.lib.files import read_json
from tests.workflow import ROOT, snakemake

PLAIN_LOOP = f"{shlex.quote(sys.executable)} -m benchmarks.plain_loop"


def measure_plain_loop(
    case: Case, clip: Path, folder: Path, *, rounds: int, patience: int, peer: str
) -> dict[str, Any]:
    """Compare the step with another program on the same clip and network, start-up included.

    Args:
        case: the network; it must have an ONNX file.
        clip: the video.
        folder: the folder for the output of both.
        rounds: the number of rounds.
        patience: further rounds, at most, to replace disturbed ones.
        peer: the command of the other program, which takes the arguments of benchmarks/plain_loop.py.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = folder / "peer.csv"
    arguments = {
        **{"video": clip, "onnx": case.onnx, "csv": rows, "width": case.size.width, "height": case.size.height},
        **{"threshold": THRESHOLD, "iou": case.iou, "threads": cores()},
        **({"pb": case.graph} if case.graph.suffix == ".pb" else {}),
    }
    command = shlex.split(peer) + [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    found = in_turns(
        [lambda: _run_step(case, clip, folder), lambda: measured_process(command, directory=ROOT)], rounds, patience
    )
    record = read_json(folder / "outcome.json")
    return {
        "ratio": spread([other.wall / step.wall for step, other in found]),
        "cpu_ratio": spread([other.cpu / step.cpu for step, other in found]),
        "boxes": record["boxes"] + record["boxes_without_area"],
        "boxes_of_the_other": len(rows.read_text(encoding="utf-8").splitlines()),
        "rounds": len(found),
        "quiet_rounds": sum(map(quiet, found)),
    }


def measure_memory(case: Case, short: Path, long: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """Compare the peak memory for a short and for a long clip of the same kind."""
    actions = [partial(_run_step, case, clip, folder, memory=True) for clip in (short, long)]
    found = in_turns(actions, rounds, 0)
    return {
        "ratio": spread([more.pss / less.pss for less, more in found]),
        "short_mb": spread([less.pss / 1e6 for less, _ in found]),
        "long_mb": spread([more.pss / 1e6 for _, more in found]),
    }


def measure_peak(case: Case, clip: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """Return the peak memory for one clip."""
    return {"mb": spread([_run_step(case, clip, folder, memory=True).pss / 1e6 for _ in range(rounds)])}


def measure_start(case: Case, clip: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """Return the seconds from a job's start until its first batch is done, and those for a second media in a run.

    The former is measured with a process of the step, the latter with the workflow.
    """
    steps = [json.loads(_run_step(case, clip, folder, max_frames=BATCH_SIZE).output) for _ in range(rounds)]
    run = _prepare_run(case, clip, folder / "run")
    pairs = [[_run_workflow(folder / "run", run, count) for count in (1, 2)] for _ in range(rounds)]
    return {
        **{f"{name}_seconds": spread([seconds[name] for seconds in steps]) for name in steps[0]},
        "run_of_one_seconds": spread([one for one, _ in pairs]),
        "second_media_seconds": spread([two - one for one, two in pairs]),
    }


def _prepare_run(case: Case, clip: Path, folder: Path) -> dict[str, Any]:
    """Write the files of the rules before `detect` for two media; return the run's settings."""
    resources = folder / "resources"
    graph = f"graph{case.graph.suffix}"
    for name in ("records", "downloads", "network", "media"):
        (resources / name).mkdir(parents=True)
    for name, file in ((graph, case.graph), ("train.ini", case.train_ini)):
        shutil.copy(file, resources / "network" / name)
    for media in (1, 2):
        arguments = step_arguments(case, clip, folder / "step", cores(), media_id=media)
        shutil.copy(arguments["records"], resources / "records" / f"{media}.json")
        shutil.copy(arguments["downloads"], resources / "downloads" / f"{media}.json")
        shutil.copy(arguments["provenance"], resources / "network" / "provenance.json")
        shutil.copy(clip, resources / "media" / str(media))
    (folder / "nowhere").mkdir(exist_ok=True)  # the setting is required, but the network's files exist already
    return {
        "tator": {"host": "http://127.0.0.1:9", "project_id": 1, "media_ids": [1, 2]},
        "network": {"directory": "nowhere", "graph": graph},
        "detect": {"img_max_side": case.size.width, "img_min_side": case.size.height, "max_frames": BATCH_SIZE},
        "upload": {"localization_type_id": 1},
    }


def _run_workflow(folder: Path, settings: dict[str, Any], count: int) -> float:
    """Run only the rule `detect`, on this number of media; return the seconds."""
    csvs = [f"results/detections/{media + 1}.csv" for media in range(count)]
    arguments = [*csvs, "--force", "--notemp", "--allowed-rules", "detect"]
    started = time.monotonic()
    done = snakemake(folder, *arguments, settings=settings, environ={"TATOR_AUTH_TOKEN": "none"})
    if done.returncode:
        raise RuntimeError(done.stdout)
    return time.monotonic() - started


def _run_step(case: Case, clip: Path, folder: Path, *, memory: bool = False, **settings: Any) -> Usage:
    arguments = json.dumps(step_arguments(case, clip, folder, cores(), **settings), default=str)
    command = [sys.executable, "-m", "benchmarks.detect_job", arguments, str(time.monotonic())]
    return measured_process(command, directory=ROOT, watch_memory=memory)
