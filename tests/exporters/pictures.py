"""The pictures that networks are compared on: one frame of the sample clip, in four sizes."""

from pathlib import Path

import cv2
import numpy as np

VIDEO = Path(__file__).parents[2] / "examples/aquarium/aquarium.mp4"
# Width and height: the original size, portrait with odd sides, wide with odd sides, large.
SIZES = ((640, 480), (431, 637), (1279, 533), (1920, 1080))


def pictures(crop: int | None = None) -> list[np.ndarray]:
    """Return the frame in each size, (height, width, 3) BGR; or only a square of it, with this side in pixels."""
    _, frame = cv2.VideoCapture(str(VIDEO)).read()
    if crop:
        return [np.ascontiguousarray(frame[:crop, :crop])]
    return [frame if size == (frame.shape[1], frame.shape[0]) else cv2.resize(frame, size) for size in SIZES]


def large_pictures() -> list[np.ndarray]:
    """Return mosaics of 4 x 4 and 3 x 2 frames of the clip, for detection in tiles."""
    video = cv2.VideoCapture(str(VIDEO))
    frames = [video.read()[1] for _ in range(150)]
    made = []
    for columns, rows, step in ((4, 4, 9), (3, 2, 23)):
        chosen = [frames[step * at] for at in range(columns * rows)]
        made.append(np.vstack([np.hstack(chosen[columns * row : columns * (row + 1)]) for row in range(rows)]))
    return made
