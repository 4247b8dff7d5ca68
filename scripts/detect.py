"""Find the boxes of one media."""

from pathlib import Path

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
    search: Search,
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
        search: what is asked.

    Raises:
        GraphError: the network cannot be used, or does not fit train.ini.
        DeviceError: GPU, driver or TensorRT is not there, or fails.
        SettingsError: there is no such engine, or a setting is missing that the network needs.
    """
    network = Network(graph, train_ini, provenance, changes, search)
    found = Found(detections, outcome, previews)
    records = {"wanted": read_json(record), "fetched": read_json(download)}
    detect_in([MediaDetection(media, **records, found=found, search=search, network=network)], network, search)


if __name__ == "__main__":
    job.run(detect, snakemake)  # type: ignore[name-defined]
