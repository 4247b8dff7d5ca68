"""Measure whole runs: planning, a run with many clips, and a run with nothing to do."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.case import BATCH_SIZE, Case
from benchmarks.clips import SAMPLE
from benchmarks.inside import decode, open_case
from benchmarks.measure import Usage, measured, measured_process, spread
from benchmarks.run import Run
from scripts.lib.downloads.connection import Connection
from scripts.lib.engines.base import Engine
from scripts.lib.files import read_json
from scripts.lib.workflow.configuration import media_list
from tests.workflow import command_line, environment


def measure_planning(folder: Path, per_job: int | str, media: int, rounds: int) -> dict[str, Any]:
    """Return the cost of a dry run on new media."""
    settings = {
        "tator": {"host": "http://127.0.0.1:9", "project_id": 1, "media_ids": list(range(1, media + 1))},
        "network": {"directory": str(SAMPLE)},
        "media": {"per_job": per_job},
        "detect": {"img_max_side": 640, "img_min_side": 480},
        "upload": {"localization_type_id": 1},
    }
    command = command_line(folder, "--dry-run", settings=settings)
    found = [
        measured_process(command, directory=folder, environ=environment({}), watch_memory=True) for _ in range(rounds)
    ]
    return {
        "media": media,
        "wall_seconds": spread([used.wall for used in found]),
        "cpu_seconds": spread([used.cpu for used in found]),
        "mb": spread([used.pss / 1e6 for used in found]),
    }


def measure_plans_of_file(folder: Path, counts: Mapping[str, int]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the cost of a dry run for each number of media in tator.media_file, without `media.per_job`.

    Args:
        folder: the folder for the runs.
        counts: numbers of media by name.
    """
    for name, count in counts.items():
        run, media_file = folder / f"plan-file-{name}", folder / f"media-{name}.txt"
        media_list.write(media_file, range(1, count + 1), [])
        settings = {
            "tator": {"host": "http://127.0.0.1:9", "project_id": 1, "media_file": str(media_file)},
            "network": {"directory": str(SAMPLE)},
            "detect": {"img_max_side": 640, "img_min_side": 480},
            "upload": {"localization_type_id": 1},
        }
        command = command_line(run, "--dry-run", "--quiet", "rules", settings=settings)
        used = measured_process(command, directory=run, environ=environment({}), watch_memory=True)
        yield name, {"media": count, "cpu_seconds": used.cpu, "mb": used.pss / 1e6}


def measure_clips(run: Run, case: Case, used: Usage) -> dict[str, Any]:
    """Return the time of a run for each media, without download, decoding and network, which are measured separately.

    Args:
        run: the finished run.
        case: the network of the run.
        used: the usage of the run.
    """
    frames = sum(
        read_json(run.folder / path)["frames"]["used"] for path in run.files("results/detections/{media_id}.json")
    )
    downloads = run.folder / "fetched"
    downloads.mkdir()
    addresses = _addresses(run)
    clips = [downloads / str(media_id) for media_id in run.media_ids]
    session = Connection(**run.site).store
    with open_case(case) as engine:
        parts = {
            "download": measured(
                lambda: [
                    clip.write_bytes(session.get(address).content)
                    for clip, address in zip(clips, addresses, strict=True)
                ]
            ),
            "decode": measured(lambda: decode(*clips)),
            "engine": measured(lambda: _infer(engine, frames)),
        }
    count = len(run.media_ids)
    over = {
        kind: (getattr(used, kind) - sum(getattr(part, kind) for part in parts.values())) / count
        for kind in ("cpu", "wall")
    }
    return {
        "media": count,
        "frames": frames,
        "run_wall_seconds": used.wall,
        "run_cpu_seconds": used.cpu,
        **{f"{name}_cpu_seconds": part.cpu for name, part in parts.items()},
        "overhead_cpu_seconds": over["cpu"],
        "overhead_wall_seconds": over["wall"],
    }


def measure_idle(run: Run, rounds: int) -> dict[str, Any]:
    """Return the cost of a run with nothing to do."""
    run.server.clear_requests()
    found = [run.workflow() for _ in range(rounds)]
    return {
        "media": len(run.media_ids),
        "wall_seconds": spread([used.wall for used in found]),
        "cpu_seconds": spread([used.cpu for used in found]),
        "requests": len(run.server.requests()),
    }


def _addresses(run: Run) -> list[str]:
    """Return the addresses of the files in the store."""
    records = [read_json(run.folder / path) for path in run.files("resources/records/{media_id}.json")]
    with mock.patch.dict(os.environ, {"TATOR_AUTH_TOKEN": run.server.token}):
        project = Connection(**run.site).project
        return project.addresses([record["file"]["path"] for record in records])


def _infer(engine: Engine, frames: int) -> None:
    batch = np.zeros((BATCH_SIZE, engine.size.height, engine.size.width, 3), np.uint8)
    for _ in range(-(-frames // BATCH_SIZE)):
        engine.infer(batch)
