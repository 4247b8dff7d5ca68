"""The Aquarium data set's pictures and boxes: crops for training, and views like those of the sample clip."""

import random
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Boxes = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Labeled:
    """A picture (H, W, 3) BGR, the corners of its boxes (n, 4) in pixels, and their classes (n,) from 1."""

    picture: Picture
    boxes: Boxes
    labels: npt.NDArray[np.int64]


def load(folder: Path) -> list[Labeled]:
    """Return the pictures of a part of the data set, which has the folders `images` and, in YOLO's format, `labels`."""
    found = []
    for path in sorted((folder / "images").glob("*.jpg")):
        if (picture := cv2.imread(str(path))) is None:
            raise ValueError(f"{path} cannot be read as a picture")
        height, width = picture.shape[:2]
        text = (folder / "labels" / f"{path.stem}.txt").read_text(encoding="utf-8")
        rows = np.array([line.split()[:5] for line in text.splitlines() if line.strip()], np.float32).reshape(-1, 5)
        middles, halves = rows[:, 1:3], rows[:, 3:5] / 2
        boxes = np.hstack([middles - halves, middles + halves]) * np.array([width, height, width, height], np.float32)
        found.append(Labeled(picture.astype(np.uint8), boxes.astype(np.float32), rows[:, 0].astype(np.int64) + 1))
    return found


def weights_by_rarity(pictures: list[Labeled]) -> list[float]:
    """Return sampling weights of the pictures: larger for pictures of a class that few pictures show."""
    present = [set(item.labels.tolist()) for item in pictures]
    share = {label: sum(label in each for each in present) / len(present) for label in set().union(*present)}
    return [max((max(1.0, (0.3 / share[label]) ** 0.5) for label in each), default=0.5) for each in present]


def view(item: Labeled, height: int, width: int) -> Labeled:
    """Return the middle of a picture at the clip's mean scale."""
    tall, wide = item.picture.shape[:2]
    scale = width / (0.9 * min(wide, tall * width / height))
    return _cut(item, ((wide - width / scale) / 2, (tall - height / scale) / 2), (scale, scale), (height, width), 0.3)


def crop(item: Labeled, height: int, width: int, rng: random.Random) -> Labeled:
    """Return a random part of a picture at about the clip's scale, mostly near a box, with changed colours."""
    tall, wide = item.picture.shape[:2]
    scale = (0.74 if tall > wide else 0.555) * np.exp(rng.uniform(np.log(0.65), np.log(1.5)))
    stretch = np.exp(rng.uniform(-0.1, 0.1))
    scales = (scale * stretch, scale / stretch)
    size = (width / scales[0], height / scales[1])
    aim = rng.choice(item.boxes) if len(item.boxes) and rng.random() < 0.7 else None
    corner = []
    for axis, room in enumerate((wide - size[0], tall - size[1])):
        low, high = min(0.0, room), max(0.0, room)
        at = rng.uniform(low, high)
        if aim is not None:
            at = min(max((aim[axis] + aim[axis + 2]) / 2 - rng.uniform(0.15, 0.85) * size[axis], low), high)
        corner.append(at)
    part = _cut(item, (corner[0], corner[1]), scales, (height, width), 0.35)
    picture, boxes = _recolour(part.picture, rng), part.boxes
    if rng.random() < 0.5:
        picture, boxes = (
            picture[:, ::-1],
            boxes[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1], np.float32) + np.array([width, 0, width, 0], np.float32),
        )
    return Labeled(np.ascontiguousarray(picture), boxes.astype(np.float32), part.labels)


def _cut(
    item: Labeled, corner: tuple[float, float], scales: tuple[float, float], size: tuple[int, int], visible: float
) -> Labeled:
    """Return the part that begins at a corner (x, y), resized to (H, W), with boxes of which this share is visible."""
    (x, y), (horizontal, vertical), (height, width) = corner, scales, size
    matrix = np.array([[horizontal, 0, -x * horizontal], [0, vertical, -y * vertical]])
    matrix[:, 2] += (np.array(scales) - 1) / 2  # the middles of pixels
    picture = cv2.warpAffine(item.picture, matrix, (width, height), flags=cv2.INTER_LINEAR)
    moved = (item.boxes - np.array([x, y, x, y], np.float32)) * np.array([horizontal, vertical] * 2, np.float32)
    inside = np.clip(moved, 0, np.array([width, height, width, height], np.float32))
    sides = inside[:, 2:] - inside[:, :2]
    share = sides.prod(1) / np.maximum((moved[:, 2:] - moved[:, :2]).prod(1), 1e-6)
    kept = (share >= visible) & (sides.min(1, initial=np.inf) > 2.5)
    return Labeled(picture.astype(np.uint8), inside[kept].astype(np.float32), item.labels[kept])


def _recolour(picture: Picture, rng: random.Random) -> Picture:
    if rng.random() > 0.8:
        return picture
    values = picture.astype(np.float32)
    grey = values.mean(2, keepdims=True)
    values = grey + (values - grey) * rng.uniform(0.6, 1.4)
    mean = values.mean()
    values = (values - mean) * rng.uniform(0.75, 1.3) + mean * rng.uniform(0.75, 1.25)
    values *= np.array([rng.uniform(0.88, 1.12) for _ in range(3)], np.float32)
    changed: Picture = np.clip(values, 0, 255).astype(np.uint8)
    return changed
