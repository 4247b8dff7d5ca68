"""MegaDetector's batch script with an engine of stated cost: `megadetector_process.py PICTURES OUT WORKERS PACE`.

It runs in an environment that has PyPI's package `megadetector`, which the workflow does not need. Its detector is
replaced, so it needs neither weights nor PyTorch. WORKERS is 0 for its default, one picture after the other, or how
many processes load pictures ahead (`--use_image_queue`). Writes a JSON object: seconds, seconds of the processor,
pictures.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from megadetector.detection import run_detector_batch as batch  # type: ignore[import-not-found]

_BOXES = 20  # a picture, as PacedEngine has


class PacedDetector:
    """Gives the same boxes for every picture, after the time that a GPU would take."""

    def __init__(self, pace: float | None) -> None:
        """Take how many pictures a second; None for no cost."""
        self._seconds = 0.0 if pace is None else 1 / pace
        self._ready = 0.0

    def generate_detections_one_image(self, image: Any, image_id: str, **_: Any) -> dict[str, Any]:
        """Return a picture's boxes."""
        self._ready = max(time.monotonic(), self._ready) + self._seconds
        image.load()  # what the network would be given
        time.sleep(max(0.0, self._ready - time.monotonic()))
        box = {"category": "1", "conf": 0.9, "bbox": [0.1, 0.1, 0.1, 0.1]}
        return {"file": image_id, "detections": [dict(box) for _ in range(_BOXES)], "max_detection_conf": 0.9}


def main(pictures: str, out: str, workers: str, pace: str) -> None:
    """Run it and print what it took."""
    said, sys.stdout = sys.stdout, sys.stderr
    files = [str(path) for path in sorted(Path(pictures).rglob("*")) if path.is_file()]
    batch.load_detector = lambda *_, **__: PacedDetector(None if pace == "none" else float(pace))
    batch.is_gpu_available = lambda *_, **__: False  # it would ask PyTorch
    wall = time.monotonic()
    before = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    results = batch.load_and_run_detector_batch(
        __file__,  # any file that is there
        files,
        confidence_threshold=0.005,
        quiet=True,
        use_image_queue=workers != "0",
        loader_workers=int(workers) or 1,
        preprocess_on_image_queue=False,
        use_threads_for_queue=False,
    )
    batch.write_results_to_file(results, os.path.join(out, "peer.json"), relative_path_base=pictures)  # noqa: PTH118
    wall = time.monotonic() - wall
    after = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(
        end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime for begin, end in zip(before, after, strict=True)
    )
    if any(one.get("failure") for one in results):
        raise RuntimeError("a picture failed")
    said.write(json.dumps({"wall": wall, "cpu": cpu, "pictures": len(results)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
