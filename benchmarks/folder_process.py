"""One run of the section `folder`: `python -m benchmarks.folder_process WAY PICTURES FOLDER THREADS PACE`.

WAY is `decode` (only decoding the pictures of a folder) or `step` (the work of jobs with many pictures: list and
detect, with an engine of PACE pictures per second, or `none` for no cost). Writes a JSON object: seconds, seconds of
processor time, pictures.
"""

import json
import os
import sys
import time
from pathlib import Path
from unittest import mock

import cv2
import numpy as np

from benchmarks.case import BATCH_SIZE, DEFAULTS
from benchmarks.clips import SAMPLE
from benchmarks.network import anchors
from benchmarks.paced_engine import PacedEngine
from scripts import detect as step
from scripts.lib.boxes import Size
from scripts.lib.detection import network
from scripts.lib.files import read_json
from scripts.lib.folder_source.listing import list_folder
from scripts.lib.folder_source.run_listing import LISTING, write_listing
from scripts.lib.records.record_files import write_record
from scripts.lib.workflow.jobs import job
from scripts.lib.workflow.planning.batches import OF_EACH_MEDIA
from scripts.list_media import list_media
from tests.made_records import provenance

SIZE = Size(640, 480)
CLASSES = 7  # the sample's
_NO_PACE = "none"


def decode(pictures: Path) -> int:
    """Decode all pictures of a folder; return their number."""
    files = [path for path in sorted(pictures.rglob("*")) if path.is_file()]
    kept = None  # held until the next picture is decoded, so that memory is not allocated again for each picture
    for path in files:
        kept = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    del kept
    return len(files)


def detect(pictures: Path, threads: int, pace: float | None) -> int:
    """List the pictures and detect in them as a shared job does, in the current folder; return their number."""
    listing = list_folder(pictures, include=[], exclude=[], not_below=[])
    write_listing(LISTING, listing)
    media_ids = [file.media_id for file in listing.files]

    def every(name: str) -> list[Path]:
        return [Path(OF_EACH_MEDIA[name][0].format(media_id=number)) for number in media_ids]

    for name in ("records", "outcomes", "previews"):
        every(name)[0].parent.mkdir(parents=True, exist_ok=True)
    Path("resources/batches").mkdir()
    Path("resources/finished").mkdir()
    write_record(Path("provenance.json"), provenance("a benchmark"))
    list_media(
        listing=LISTING,
        kind="any",
        changed_by="time",
        records=every("records"),
        batch=Path("resources/batches/resolved_1.json"),
    )
    asked = ("keep_threshold", "batch_size", "frame_stride", "frame_range", "max_frames")
    arguments = job.bind(
        step.detect,
        {
            **{name: every(name) for name in ("records", "detections", "outcomes", "previews")},
            # The graph is not read, as the engine replaces it.
            "graph": SAMPLE / "graph.pb",
            "train_ini": SAMPLE / "train.ini",
            "provenance": Path("provenance.json"),
            "changes": [],
            "listing": LISTING,
            "batch": Path("resources/batches/detected_1.json"),
            "finished": Path("resources/finished"),
            "code_hash": "",
            "img_max_side": SIZE.width,
            "img_min_side": SIZE.height,
            **{key: DEFAULTS[key] for key in asked},
            "engine": "openvino",
            "precision": "f32",
            "engines": "resources/engines",
            "nms": None,
            "pixels": None,
            "first_label": None,
            "threads": threads,
        },
    )
    engine = PacedEngine(SIZE, BATCH_SIZE, CLASSES, len(anchors(SIZE)), pace)
    with mock.patch.object(network, "open_engine", return_value=engine):
        step.detect(**arguments)
    states = {read_json(path)["state"] for path in every("outcomes")}
    if states != {"done"}:
        raise RuntimeError(f"the media ended as {', '.join(sorted(states))}; expected done")
    return len(media_ids)


def main(way: str, pictures: str, folder: str, threads: str, pace: str) -> None:
    """Run one way and print its times."""
    cv2.setNumThreads(1)
    os.chdir(folder)
    wall, cpu = time.monotonic(), time.process_time()
    if way == "decode":
        count = decode(Path(pictures))
    else:
        count = detect(Path(pictures), int(threads), None if pace == _NO_PACE else float(pace))
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    sys.stdout.write(json.dumps({"wall": wall, "cpu": cpu, "pictures": count}))


if __name__ == "__main__":
    main(*sys.argv[1:])
