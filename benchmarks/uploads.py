"""Measure the cost of uploads of many boxes, and of Tator's schema for a job."""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from tator.openapi import client

from benchmarks.measure import Usage, measured, spread
from benchmarks.run import Run
from scripts.lib.boxes import Size
from scripts.lib.detections import DetectionWriter, video_id
from scripts.lib.frame_result import FrameResult
from scripts.lib.records.record_files import write_record
from scripts.lib.server import schema
from scripts.lib.server.api import Project
from scripts.lib.workflow.planning.batches import batches, media_per_job, write_hashes
from tests.made_records import detection_record, provenance

WIDTH, HEIGHT = 640, 480
_NO_PICTURE = np.empty((0, 0, 3), np.uint8)
BOXES_PER_FRAME = 20
# The divisor of the number of media for the smaller upload, to compare its memory.
FEW = 4


def measure_uploads(run: Run, boxes: int) -> dict[str, Any]:
    """Return the cost of a first upload, of one without changes, and of one after a change in one media.

    It is measured for the step, and for the workflow, which recognizes without a request that nothing changed.

    Args:
        run: a run in a new folder; its media are in Tator.
        boxes: number of boxes of each media.
    """
    run.resolve()
    _prepare(run, "resources/destination.json", "Object Detector")
    for media_id in run.media_ids:
        _write_detections(run, media_id, boxes)
    _prepare(run, "resources/few.json", "Few")
    few = run.media_ids[: -(-len(run.media_ids) // FEW)]
    fewer = _upload(run, few, "resources/few.json")
    for left in ("results/uploads", "resources/finished_uploads"):
        shutil.rmtree(run.folder / left)
    run.server.clear_requests()
    first = _upload(run, run.media_ids)
    requests, created = len(run.server.requests()), len(run.server.requests("CreateLocalizationList"))
    second = _upload(run, run.media_ids)
    _prepare(run, "resources/destination.json", "By the workflow")
    for left in ("results/uploads", "resources/finished_uploads"):
        shutil.rmtree(run.folder / left)
    whole = _upload_in_workflow(run)
    nothing = _upload_in_workflow(run)
    run.server.clear_requests()
    changed = run.media_ids[len(run.media_ids) // 2]
    _write_detections(run, changed, boxes - 1)
    _upload_in_workflow(run)
    written = [*run.server.requests("CreateLocalizationList"), *run.server.requests("DeleteLocalizationList")]
    return {
        "media": len(run.media_ids),
        "boxes": boxes * len(run.media_ids),
        "first_seconds": first.wall,
        "first_cpu_seconds": first.cpu,
        "requests": requests,
        "requests_to_create": created,
        "mb": first.pss / 1e6,
        "mb_ratio": first.pss / fewer.pss,
        "second_ratio": second.wall / first.wall,
        "workflow_first_seconds": whole.wall,
        "workflow_second_ratio": nothing.wall / whole.wall,
        "media_written": len({media_id for request in written for media_id in request["media"]}),
        "media_listed": len(
            {media_id for request in run.server.requests("GetLocalizationList") for media_id in request["media"]}
        ),
    }


def measure_connect(run: Run, rounds: int) -> dict[str, Any]:
    """Return the cost of Tator's schema for a job that parses it, and for a job that uses the stored result."""
    folder = run.folder / "connect"
    (folder / schema.KEPT.parent).mkdir(parents=True)

    def connect() -> float:
        client._schema_cache.clear()
        return measured(lambda: Project(**run.site)).cpu

    parsed, kept = [], []
    with contextlib.chdir(folder), mock.patch.dict(os.environ, {"TATOR_AUTH_TOKEN": run.server.token}):
        for _ in range(rounds):
            schema.KEPT.unlink(missing_ok=True)
            parsed.append(connect())
            kept.append(connect())
    return {
        "parsed_cpu_seconds": spread(parsed),
        "kept_cpu_seconds": spread(kept),
        "ratio": spread([less / more for less, more in zip(kept, parsed, strict=True)]),
    }


def _prepare(run: Run, destination: str, version: str) -> None:
    network = run.folder / "resources" / "network"
    network.mkdir(exist_ok=True)
    shutil.copy(Path(run.settings["network"]["directory"]) / "train.ini", network)
    write_record(network / "provenance.json", provenance("a benchmark"))
    run.step(
        "prepare_upload",
        **run.site,
        train_ini="resources/network/train.ini",
        provenance="resources/network/provenance.json",
        destination=destination,
        localization_type_id=run.server.localization_type_id,
        species_attribute="Species",
        confidence_attribute="Confidence",
        version=version,
        version_id=None,
        version_number=None,
    )


def _write_detections(run: Run, media_id: int, boxes: int) -> None:
    """Write the files of detect, with boxes at random places."""
    folder = run.folder / "results" / "detections"
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(media_id)
    corners = rng.integers(0, [WIDTH * 500, HEIGHT * 500], (boxes, 2))
    sides = rng.integers(10_000, [WIDTH * 400, HEIGHT * 400], (boxes, 2))
    scores = rng.random((boxes, 7), np.float32)
    with (folder / f"{media_id}.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = DetectionWriter(stream, video_id(media_id, "made"))
        for frame, first in enumerate(range(0, boxes, BOXES_PER_FRAME)):
            part = slice(first, first + BOXES_PER_FRAME)
            found = np.concatenate([corners[part], sides[part]], axis=1)
            boxes_found = found, scores[part].argmax(axis=1), scores[part]
            writer.write([FrameResult(frame, (frame,), _NO_PICTURE, Size(WIDTH, HEIGHT), *boxes_found)])
    record = detection_record(media_id=media_id, width=WIDTH, height=HEIGHT, boxes=boxes)
    write_record(folder / f"{media_id}.json", record)


def _upload(run: Run, media_ids: list[int], destination: str = "resources/destination.json") -> Usage:
    (run.folder / "results" / "uploads").mkdir(exist_ok=True)
    return run.step(
        "upload_detections",
        rule="upload_many",
        watch_memory=True,
        **run.site,
        detections=run.files("results/detections/{media_id}.csv", media_ids),
        outcomes=run.files("results/detections/{media_id}.json", media_ids),
        records=run.files("resources/records/{media_id}.json", media_ids),
        destination=destination,
        train_ini="resources/network/train.ini",
        threshold=0.0,
        overlap_limit=0.5,
        on_damaged="fail",
        uploads=run.files("results/uploads/{media_id}.json", media_ids),
        batch="resources/uploaded.json",
        finished="resources/finished_uploads",
        code_hash="",
    )


def _upload_in_workflow(run: Run) -> Usage:
    """Run only the rules that upload, and the checkpoints before them, whose files are not all there."""
    most = media_per_job("auto", len(run.media_ids))
    shared = batches(run.media_ids, most) if most > 1 else []
    (run.folder / "resources" / "batches").mkdir(exist_ok=True)
    for media_ids in shared:
        files = [run.folder / path for path in run.files("results/detections/{media_id}.csv", media_ids)]
        write_hashes(run.folder / "resources" / "batches" / f"detected_{media_ids[0]}.json", files)
    rules = [f"upload_many_{media_ids[0]}" for media_ids in shared] or ["upload_detections"]
    # Snakemake 9.27 may start a job twice if a checkpoint before it has to run and is not allowed.
    allowed = ["resolve_media", "get_network", *rules]
    return run.workflow(*run.files("results/uploads/{media_id}.json"), "--allowed-rules", *allowed)
