"""Detect in tiles with sahi and the uncut sample network, whose graph suppresses boxes within a tile.

Run in the exporters' environment: `python -m tests.exporters.sahi_oracle FILE.npz`.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import openvino
from sahi.models.base import DetectionModel
from sahi.predict import get_sliced_prediction
from sahi.prediction import ObjectPrediction
from sahi.utils.compatibility import fix_full_shape_list, fix_shift_amount_list

from tests.exporters.pictures import VIDEO, large_pictures

GRAPH = VIDEO.with_name("graph.pb")
WIDTH, HEIGHT = 640, 480
MEAN = np.array([103.939, 116.779, 123.68], np.float32)
OVERLAP, THRESHOLD = 0.2, 0.3
# Postprocess type, match metric and threshold; `all` keeps every box of every tile.
SUPPRESSIONS = {"nms": ("NMS", "IOU", 0.5), "greedynmm": ("GREEDYNMM", "IOS", 0.5), "all": ("NMS", "IOU", 1.0)}


class SampleNetwork(DetectionModel):
    """The sample network with sahi's interface."""

    def load_model(self) -> None:
        """Load the network."""
        self.model = openvino.Core().compile_model(str(self.model_path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def perform_inference(self, image: np.ndarray) -> None:
        """Run the network on a picture, (height, width, 3) RGB, padded at the right and the bottom."""
        height, width = image.shape[:2]
        scale = max(width / WIDTH, height / HEIGHT)
        right, bottom = round(WIDTH * scale) - width, round(HEIGHT * scale) - height
        padded = cv2.copyMakeBorder(image[..., ::-1], 0, bottom, 0, right, cv2.BORDER_CONSTANT)
        pixels = cv2.resize(padded, (WIDTH, HEIGHT)).astype(np.float32) - MEAN
        self._original_predictions = self.model(pixels[None])[0][0], scale

    def _create_object_prediction_list_from_original_predictions(
        self, shift_amount_list: list | None = None, full_shape_list: list | None = None
    ) -> None:
        table, scale = self._original_predictions
        (shift,), (full,) = fix_shift_amount_list(shift_amount_list), fix_full_shape_list(full_shape_list)
        found = []
        for row in table[table[:, 5:].max(axis=1) >= self.confidence_threshold]:  # box, label, score of each class
            label = int(row[4])
            # Clipped to its tile, which is never larger than the network's input here.
            box = np.clip(row[:4], 0, [WIDTH, HEIGHT] * 2) * scale
            if (box[2:] > box[:2]).all():
                found.append(
                    ObjectPrediction(box.tolist(), label, str(label), None, float(row[5 + label]), shift, full)
                )
        self._object_prediction_list_per_image = [found]


def main() -> None:
    """Write the boxes of each picture, for each kind of suppression."""
    network = SampleNetwork(str(GRAPH), device="cpu", confidence_threshold=THRESHOLD)
    arrays = {}
    for at, picture in enumerate(large_pictures()):
        for name, (kind, metric, limit) in SUPPRESSIONS.items():
            result = get_sliced_prediction(
                np.ascontiguousarray(picture[..., ::-1]),
                network,
                HEIGHT,
                WIDTH,
                OVERLAP,
                OVERLAP,
                postprocess_type=kind,
                postprocess_match_metric=metric,
                postprocess_match_threshold=limit,
                verbose=0,
            )
            arrays[f"{name}_{at}"] = np.array(
                [[*each.bbox.to_xyxy(), each.score.value, each.category.id] for each in result.object_prediction_list]
            )
    np.savez(Path(sys.argv[1]), **arrays)


if __name__ == "__main__":
    main()
