"""Find the boxes of one media."""

import logging
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scripts.lib import job
from scripts.lib import train_ini as train
from scripts.lib.backends import open_engine, suppression
from scripts.lib.backends.base import Engine
from scripts.lib.backends.rows import RowsConvention
from scripts.lib.detections import DetectionWriter, video_id
from scripts.lib.engine_choice import reason as engine_reason
from scripts.lib.errors import GraphError, MediaFault, MediaState
from scripts.lib.files import read_json, replacing, sha256, write_json
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.source import Summary, wanted_frames
from scripts.lib.pipeline import Counts, detect_frames
from scripts.lib.retinanet import Size

_log = logging.getLogger(__name__)


def detect(
    *,
    media: Path,
    record: Path,
    download: Path,
    graph: Path,
    train_ini: Path,
    provenance: Path,
    changes: list[Path],
    detections: Path,
    outcome: Path,
    img_max_side: int,
    img_min_side: int,
    keep_threshold: float,
    batch_size: int,
    frame_stride: int,
    frame_range: list[int] | None,
    max_frames: int | None,
    engine: str,
    precision: str,
    engines: Path,
    nms: dict[str, Any] | None,
    pixels: str | None,
    first_label: int | None,
    threads: int,
) -> None:
    """Write a media's boxes, and a record of how they were found.

    A fault of the media itself is a result: the record says so, and the CSV holds the boxes found before it.

    Args:
        media: the downloaded file.
        record: what resolve_media wrote.
        download: what download_media wrote; unless both say `ready`, their state and reason are this step's too.
        graph: the network, `graph.pb` or `graph.onnx`, or `graph.xml` with `graph.bin` beside it.
        train_ini: the names of its classes.
        provenance: where the network came from.
        changes: the records of what was done to the graph since, by converting or quantising it.
        detections: the CSV to write.
        outcome: the JSON record to write.
        img_max_side: width of the network's input in pixels.
        img_min_side: height of the network's input in pixels.
        keep_threshold: the least score of a box.
        batch_size: frames that go through the network at once.
        frame_stride: detect in every n-th frame of a video.
        frame_range: first and last frame of a video to detect in, both included; None for all.
        max_frames: detect in at most so many frames of a video; None for all.
        engine: what runs the network: openvino, onnxruntime or tensorrt.
        precision: what it computes with: f32, f16 or int8.
        engines: the folder of TensorRT's engine files.
        nms: settings of the suppression in place of the graph's own.
        pixels: for a network that gives rows, the pixels it takes.
        first_label: for a network that gives rows, the label of the first class.
        threads: of the CPU.

    Raises:
        GraphError: the network cannot be used, or does not fit train.ini.
        DeviceError: GPU, driver or TensorRT is not there, or fails.
        SettingsError: there is no such engine, or a setting is missing that the network needs.
    """
    started = time.monotonic()
    wanted, fetched = read_json(record), read_json(download)
    first = wanted if wanted["state"] != "ready" else fetched
    state, reason = first["state"], first["reason"]
    summary, counts = Summary(), Counts()
    numbers = wanted_frames(frame_stride, frame_range, max_frames)
    made: dict[str, Any] = {"network": None, "engine": None}
    with replacing(detections) as stream:
        writer = DetectionWriter(stream, video_id(wanted["media_id"], wanted["name"] or ""))
        if state == "ready":
            try:
                with open_frames(media, wanted["kind"], numbers) as frames:
                    summary = frames.summary
                    names = train.species(train_ini)
                    with open_engine(
                        graph,
                        engine=engine,
                        size=Size(img_max_side, img_min_side),
                        batch_size=batch_size,
                        threads=threads,
                        precision=precision,
                        engines=engines,
                        nms=None if nms is None else suppression.from_values(nms),
                        rows=RowsConvention(pixels, first_label, len(names)),
                    ) as network:
                        _check_names(names, train_ini, graph, network)
                        made = _made_with(graph, names, provenance, changes, network)
                        detect_frames(frames, network, keep_threshold, writer.write, counts)
                state, reason = _judged(summary, counts)
            except MediaFault as fault:
                state, reason = fault.state, fault.reason
    result = {
        "media_id": wanted["media_id"],
        "name": wanted["name"],
        "kind": wanted.get("kind"),
        "state": state,
        "reason": reason,
        "frames": {
            "decoded": summary.decoded,
            "declared": summary.declared,
            "used": summary.used,
            "read_to_end": summary.read_to_end,
            "errors": summary.errors,
            "error_count": summary.error_count,
        },
        "width": summary.width,
        "height": summary.height,
        "boxes": counts.boxes,
        "boxes_without_area": counts.boxes_without_area,
        "threshold": keep_threshold,
        "asked": {"frame_stride": frame_stride, "frame_range": frame_range, "max_frames": max_frames},
        **made,
        "seconds": round(time.monotonic() - started, 3),
    }
    write_json(outcome, result)
    _log.info(
        "media %d: %s, %d frames decoded, %d of them through the network, %d boxes, %.1f s",
        *(wanted["media_id"], state, summary.decoded, counts.frames, counts.boxes, result["seconds"]),
    )


def _check_names(names: list[str], train_ini: Path, graph: Path, network: Engine) -> None:
    """Refuse a network that scores more or fewer classes than have a name."""
    if len(names) != network.classes:
        raise GraphError(
            f"{graph} scores {network.classes} classes, {train_ini} names {len(names)} ({', '.join(names)}); "
            "expected as many: take the train.ini that the network was trained with"
        )


def _made_with(graph: Path, names: list[str], provenance: Path, changes: list[Path], network: Engine) -> dict[str, Any]:
    """Return what the record says of the network and its engine."""
    return {
        "network": {
            "sha256": sha256(graph),
            **({"weights_sha256": sha256(graph.with_suffix(".bin"))} if graph.suffix == ".xml" else {}),
            "width": network.size.width,
            "height": network.size.height,
            "classes": names,
            "nms": asdict(network.nms) | {"min_score": max(network.nms.min_score, 0.0)},
            "source": read_json(provenance).get("reference"),
            **{change.parent.name: read_json(change) for change in changes},
        },
        "engine": network.description | {"chosen": engine_reason(os.environ)},
    }


def _judged(summary: Summary, counts: Counts) -> tuple[MediaState, str | None]:
    """Return the state of a media that was read as far as it was asked for, and the reason for it."""
    if summary.damaged:
        return "damaged", summary.damage
    reason = None
    if not summary.read_to_end:
        reason = f"nothing is asked for after frame {summary.decoded - 1}; what follows was not read"
    elif not summary.used:
        reason = f"none of its {summary.decoded} frames is asked for"
    elif summary.declared not in (None, summary.decoded):
        _log.warning("%d frames decoded, %d declared", summary.decoded, summary.declared)
    return ("done" if counts.boxes else "no detections"), reason


if __name__ == "__main__":
    job.run(detect, snakemake)  # type: ignore[name-defined]
