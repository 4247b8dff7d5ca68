"""Quantize the network to int8 with frames of the run's media, and measure how that changes its boxes."""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scripts.lib.boxes import Pixels
from scripts.lib.detection.calibration_frames import CalibrationMedia, take_frames
from scripts.lib.detection.drift import measure
from scripts.lib.detection.whole_network import WholeNetwork, read_network
from scripts.lib.errors import PipelineError
from scripts.lib.files import replacing, sha256
from scripts.lib.folder_source.local_media import media_file
from scripts.lib.graphs import nms_settings
from scripts.lib.graphs.input_size import suppression_of
from scripts.lib.preprocessing.tiles import from_values
from scripts.lib.records import MediaRecord
from scripts.lib.records.network_changes import (
    CalibrationFrames,
    Drift,
    QuantizationRecord,
)
from scripts.lib.records.record_files import read_record, write_record
from scripts.lib.suppression import Nms
from scripts.lib.workflow.jobs import job, sandbox
from scripts.lib.workflow.processes import deadline
from scripts.lib.workflow.processes.signals import stoppable

if TYPE_CHECKING:
    import openvino  # type: ignore[import-untyped]

_log = logging.getLogger(__name__)

# Every third frame is used to measure the drift.
HOLD_BACK = 3
# With fewer boxes, the drift would depend on chance.
LEAST_BOXES = 10


def quantize_network(
    *,
    records: list[Path],
    graph: Path,
    train_ini: Path,
    provenance: Path,
    quantized: Path,
    weights: Path,
    drift: Path,
    img_max_side: int | None,
    img_min_side: int | None,
    keep_threshold: float,
    nms: dict[str, Any] | None,
    calibration_frames: int,
    max_drift: float,
    threads: int,
    media: list[Path] | None = None,
    downloads: list[Path] | None = None,
    listing: Path | None = None,
    tiles: dict[str, Any] | str | None = None,
) -> None:
    """Write the network for OpenVINO with convolutions in int8, and a record of the drift from f32.

    Args:
        records: the records of resolve_media or list_media of each media to take frames from; media without frames
            are left out.
        graph: the network, `graph.pb`, `graph.onnx`, or `graph.xml` with its weights next to it.
        train_ini: the names of its classes.
        provenance: the record of get_network, with the network's description.
        quantized: the `.xml` file to write.
        weights: the `.bin` file to write, of the same name.
        drift: the JSON record to write.
        img_max_side: width of the network's input in pixels; None for the size in its file.
        img_min_side: height of the network's input in pixels; None for the size in its file.
        keep_threshold: minimum score of a box, as in detection.
        nms: suppression settings that replace those of the graph.
        calibration_frames: number of frames to take from all media together.
        max_drift: the largest drift to accept, from 0 to 1.
        threads: number of CPU threads.
        media: the downloaded files.
        downloads: the records of download_media.
        listing: the listing of a run on a folder, instead of `media` and `downloads`.
        tiles: how detection cuts large frames; one tile of each frame is used, and several of a picture.

    Raises:
        GraphError: the graph cannot be quantized.
        PipelineError: the drift is too large, or there are too few frames or boxes to measure it.
    """
    whole = read_network(graph, train_ini, provenance, (img_max_side, img_min_side), threads)
    size = whole.size
    none = [None] * len(records)
    wanted = [read_record(MediaRecord, record) for record in records]
    files = [
        media_file(record, path, download, listing)
        for record, path, download in zip(wanted, media or none, downloads or none, strict=True)
    ]
    sources = [CalibrationMedia(path, record, fetched) for record, (path, fetched) in zip(wanted, files, strict=True)]
    # An unnamed file, so that nothing is left if the job is killed.
    with tempfile.TemporaryFile(dir=quantized.parent) as file:
        store = np.memmap(file, np.uint8, "w+", shape=(calibration_frames, size.height, size.width, 3))
        used = take_frames(sources, store, whole.resize, from_values(tiles, size))
        frames = range(sum(used.values()))
        held_back = frames[HOLD_BACK - 1 :: HOLD_BACK]
        used_frames = [index for index in frames if index not in held_back]
        if not held_back:
            raise PipelineError(
                f"media {_ids(sources)} gave {len(frames)} frames; expected at least {HOLD_BACK} to quantize the "
                "network: name others in detect.calibration_media, or set detect.precision: f32"
            )
        _log.info("%d frames to quantize with, %d to measure the drift", len(used_frames), len(held_back))
        with deadline.watched(str(graph), f"being quantized with {len(used_frames)} frames", batches=10):
            model, found_nms = _quantized(whole, nms, [store[index] for index in used_frames])
        _write(model, quantized, weights)
        del model
        found = measure(
            lambda path: whole.opened(path, found_nms),
            (graph, quantized),
            (store[index] for index in held_back),
            keep_threshold,
        )
    result = QuantizationRecord(
        media_ids=[source.record.media_id for source in sources],
        frames=CalibrationFrames(of_each_media=used, to_quantize=len(used_frames), held_back=len(held_back)),
        threshold=keep_threshold,
        boxes=found.boxes,
        drift=found.drift,
        score_difference=found.score_difference,
        max_drift=max_drift,
        from_sha256=sha256(graph),
        graph_sha256=sha256(quantized),
        weights_sha256=sha256(weights),
        nms=nms_settings.to_values(found_nms),
        sandbox=sandbox.present(),
        versions=_versions(),
    )
    _log.info("%s", result)
    _check(found, max_drift, _ids(sources))
    write_record(drift, result)


def _quantized(
    whole: WholeNetwork, nms: dict[str, Any] | None, frames: Sequence[Pixels]
) -> tuple["openvino.Model", Nms]:
    """Return the quantized graph from uint8 pixels to boxes before suppression, and the suppression settings."""
    from scripts.lib.engines.openvino.graph import after_convolutions, load_openvino

    load_openvino()  # before NNCF, which would import OpenVINO with its telemetry
    import nncf

    part, own = whole.before_suppression(read_own=nms is None)
    found = own if nms is None else suppression_of(nms, whole.description)
    batches = _batches(frames, part.inputs[0].get_shape()[0])
    model = nncf.quantize(
        part,
        nncf.Dataset(batches, np.stack),
        subset_size=len(batches),
        # The fast bias correction makes all scores slightly too high, so that more boxes reach the threshold.
        fast_bias_correction=False,
        # The operators that decode boxes and scores stay in f32: in int8, boxes would be wrong by pixels.
        ignored_scope=nncf.IgnoredScope(names=after_convolutions(part)),
    )
    model.set_rt_info(nms_settings.to_text(found), nms_settings.KEY)
    return model, found


def _batches(frames: Sequence[Pixels], length: int) -> list[list[Pixels]]:
    """Return the frames in batches of this length; the last batch is filled up with the first frames."""
    starts = range(0, len(frames), length)
    return [[frames[at % len(frames)] for at in range(start, start + length)] for start in starts]


def _write(model: "openvino.Model", quantized: Path, weights: Path) -> None:
    """Write both files; each is replaced only when it is complete."""
    from scripts.lib.engines.openvino.graph import load_openvino

    with stoppable(), tempfile.TemporaryDirectory() as folder:
        saved = Path(folder, quantized.name)
        load_openvino().save_model(model, saved, compress_to_fp16=False)
        for path in (weights, quantized):
            with replacing(path, "wb") as stream:
                stream.write(saved.with_suffix(path.suffix).read_bytes())


def _check(found: Drift, max_drift: float, media: str) -> None:
    boxes = found.boxes
    if boxes.f32 < LEAST_BOXES:
        raise PipelineError(
            f"the drift of int8 cannot be measured: in the test frames of media {media} the network finds {boxes.f32} "
            f"boxes in f32; expected at least {LEAST_BOXES}: name media with more objects in detect.calibration_media, "
            "raise detect.calibration_frames, or set detect.precision: f32"
        )
    if found.drift > max_drift:
        raise PipelineError(
            f"int8 changes too much: a drift of {found.drift:.4f}, of {boxes.f32} boxes in f32 and "
            f"{boxes.int8} in int8 {boxes.both} are the same; "
            f"detect.max_drift allows {max_drift}: set detect.precision: f32, or accept it by raising detect.max_drift"
        )


def _ids(sources: Sequence[CalibrationMedia]) -> str:
    return ", ".join(str(source.record.media_id) for source in sources)


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("nncf", "openvino")}


if __name__ == "__main__":
    job.run(quantize_network, snakemake, needs="nncf", sandboxed=True)  # type: ignore[name-defined]
