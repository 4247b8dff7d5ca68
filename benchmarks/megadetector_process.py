"""Run MegaDetector's batch script with a detector of fixed speed.

    megadetector_process.py PICTURES OUT WORKERS PACE WIDTH HEIGHT ANCHORS CLASSES THRESHOLD IOU

It runs in an environment with PyPI's package `megadetector`, which the workflow does not need. The detector is
replaced, so weights and PyTorch are not needed. The replacement does the work of a detector other than the network, as
the workflow does: it scales a picture to the network's size, and suppresses boxes of the same number of anchors and
classes. WORKERS is 0 for the script's default, one picture at a time, or the number of processes that load pictures
ahead (`--use_image_queue`). Writes a JSON object: seconds, seconds of processor time, pictures.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from megadetector.detection import run_detector_batch as batch  # type: ignore[import-not-found]

_BOXES = 20  # boxes in a picture, as in PacedEngine
_SIDE, _SCORE, _GREY = 40, 0.9, 114


class PacedDetector:
    """Returns the same boxes for every picture, after the time that a GPU would take."""

    def __init__(  # noqa: PLR0917
        self, pace: float | None, size: tuple[int, int], anchors: int, classes: int, threshold: float, iou: float
    ) -> None:
        """Create the boxes, with random positions.

        Args:
            pace: pictures per second; None for no cost.
            size: width and height of the network's input.
            anchors: number of boxes before suppression.
            classes: number of classes.
            threshold: minimum score of a box.
            iou: the IoU above which boxes are suppressed.
        """
        self._seconds = 0.0 if pace is None else 1 / pace
        self._size, self._threshold, self._iou = size, threshold, iou
        rng = np.random.default_rng(0)
        corners = rng.uniform(0, (size[0] - _SIDE, size[1] - _SIDE), (anchors, 2))
        self._boxes = np.concatenate([corners, np.full((anchors, 2), float(_SIDE))], axis=1)  # x, y, width, height
        self._scores = rng.uniform(0, 0.05, (anchors, classes)).astype(np.float32)
        self._scores[rng.choice(anchors, min(_BOXES, anchors), replace=False), 0] = _SCORE

    def generate_detections_one_image(self, image: Any, image_id: str, **_: Any) -> dict[str, Any]:
        """Return a picture's boxes."""
        begun = time.monotonic()
        self._scaled(np.asarray(image))
        time.sleep(self._seconds)  # MegaDetector's detectors wait in the same way while the network runs
        detections = self._suppressed()
        if not detections or time.monotonic() < begun + self._seconds:
            raise RuntimeError("the detector found nothing, or took less than the network would")
        return {"file": image_id, "detections": detections, "max_detection_conf": _SCORE}

    def _scaled(self, picture: Any) -> Any:
        """Return a picture scaled to the network's size, with grey padding and the colours first."""
        width, height = self._size
        scale = min(width / picture.shape[1], height / picture.shape[0])
        inner = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
        if inner != (picture.shape[1], picture.shape[0]):
            picture = cv2.resize(picture, inner, interpolation=cv2.INTER_LINEAR)
        right, bottom = width - inner[0], height - inner[1]
        if right or bottom:
            picture = cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=(_GREY,) * 3)
        return np.ascontiguousarray(picture.transpose((2, 0, 1)))

    def _suppressed(self) -> list[dict[str, Any]]:
        rows, labels = np.nonzero(self._scores > self._threshold)
        found = []
        for label in np.unique(labels):
            of_class = rows[labels == label]
            boxes, scores = self._boxes[of_class], self._scores[of_class, label]
            for index in cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), self._threshold, self._iou):
                box = (boxes[index] / (*self._size, *self._size)).round(4).tolist()
                found.append({"category": str(label + 1), "conf": round(float(scores[index]), 3), "bbox": box})
        return found


def main(pictures: str, out: str, workers: str, pace: str, *network: str) -> None:
    """Run the script and print its times; `network` is the size, anchors, classes, threshold and IoU."""
    width, height, anchors, classes, threshold, iou = network
    shape = (int(width), int(height)), int(anchors), int(classes), float(threshold), float(iou)
    cv2.setNumThreads(1)
    output, sys.stdout = sys.stdout, sys.stderr  # the script prints to stdout too
    files = [str(path) for path in sorted(Path(pictures).rglob("*")) if path.is_file()]
    batch.load_detector = lambda *_, **__: PacedDetector(None if pace == "none" else float(pace), *shape)
    batch.is_gpu_available = lambda *_, **__: False  # otherwise it needs PyTorch
    wall = time.monotonic()
    before = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    results = batch.load_and_run_detector_batch(
        __file__,  # any existing file
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
    output.write(json.dumps({"wall": wall, "cpu": cpu, "pictures": len(results)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
