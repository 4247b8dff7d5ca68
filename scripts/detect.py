"""Find the boxes of one media."""

from pathlib import Path
from typing import Any

from scripts.lib import job
from scripts.lib.files import read_json
from scripts.lib.media_detection import Found, MediaDetection, Network, Search, detect_in


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
    previews: Path,
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
        previews: the file of pictures to write, see scripts/lib/previews.py.
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
    search = Search(
        img_max_side=img_max_side,
        img_min_side=img_min_side,
        keep_threshold=keep_threshold,
        batch_size=batch_size,
        frame_stride=frame_stride,
        frame_range=frame_range,
        max_frames=max_frames,
        engine=engine,
        precision=precision,
        engines=engines,
        nms=nms,
        pixels=pixels,
        first_label=first_label,
        threads=threads,
    )
    network = Network(graph, train_ini, provenance, changes, search)
    found = Found(detections, outcome, previews)
    records = {"wanted": read_json(record), "fetched": read_json(download)}
    detect_in([MediaDetection(media, **records, found=found, search=search, network=network)], network, search)


if __name__ == "__main__":
    job.run(detect, snakemake)  # type: ignore[name-defined]
