"""Scenes of animals with identities: their true boxes, simulated detections, and the frames.

Animals swim on smooth paths, cross and hide one another, leave and return, before a camera that is fixed or moves. The
same seed gives the same scene. Simulated detections miss some animals, have small errors, lower scores for half hidden
animals, and false alarms.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 640, 360
SPECIES = ("cod", "flatfish", "crab")
# An animal that is out of sight for more frames returns with another identity.
SAME_AFTER = 20

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """One animal in one frame, or one detection.

    Attributes:
        frame: number of the frame.
        identity: number of the animal, from 1; 0 for a false alarm.
        species: number of the species, from 0.
        xywh: box in pixels.
        score: score of a detection; 1 for a true box.
    """

    frame: int
    identity: int
    species: int
    xywh: tuple[float, float, float, float]
    score: float = 1.0


@dataclass(frozen=True)
class Scene:
    """The parameters of a scene.

    Attributes:
        seed: seed of the random numbers.
        animals: number of animals at once.
        frames: number of frames.
        speed: largest speed, in pixels per frame.
        camera: largest movement of the camera, in pixels per frame; 0 for a fixed one.
        bends: largest turn of an animal, in radians per frame.
    """

    seed: int
    animals: int = 6
    frames: int = 200
    speed: float = 4.0
    camera: float = 0.0
    bends: float = 0.05

    def truth(self) -> list[Seen]:
        """Return the true boxes of the animals of which at least half is visible, by frame."""
        rng = np.random.default_rng(self.seed)
        sizes = rng.uniform(28, 80, self.animals)[:, None] * np.column_stack(
            [np.ones(self.animals), rng.uniform(0.4, 0.8, self.animals)]
        )
        species = rng.integers(0, len(SPECIES), self.animals)
        at = rng.uniform([0.1 * WIDTH, 0.1 * HEIGHT], [0.9 * WIDTH, 0.9 * HEIGHT], (self.animals, 2))
        heading, pace = rng.uniform(0, 2 * np.pi, self.animals), rng.uniform(0.2, 1, self.animals) * self.speed
        shift, swing = np.zeros(2), rng.uniform(0.02, 0.09, 2)
        names, last, found = [0] * self.animals, [-10_000] * self.animals, []
        free = 1
        for frame in range(self.frames):
            shift += self.camera * np.sin(swing * frame * np.array([1, 1.7]))
            heading += rng.uniform(-1, 1, self.animals) * self.bends
            at += pace[:, None] * np.column_stack([np.cos(heading), np.sin(heading)])
            at %= np.array([WIDTH * 1.4, HEIGHT * 1.4])  # beyond an edge, and back from the other side
            seen_at = (at + shift) % np.array([WIDTH * 1.4, HEIGHT * 1.4]) - 0.2 * np.array([WIDTH, HEIGHT])
            for animal in range(self.animals):
                low, high = seen_at[animal] - sizes[animal] / 2, seen_at[animal] + sizes[animal] / 2
                shown = np.clip(low, 0, [WIDTH, HEIGHT]), np.clip(high, 0, [WIDTH, HEIGHT])
                size = shown[1] - shown[0]
                if size.prod() < 0.5 * sizes[animal].prod():
                    continue
                if frame - last[animal] > SAME_AFTER:
                    names[animal], free = free, free + 1
                last[animal] = frame
                box = float(shown[0][0]), float(shown[0][1]), float(size[0]), float(size[1])
                found.append(Seen(frame, names[animal], int(species[animal]), box))
        return found

    def detections(self) -> list[Seen]:
        """Return simulated detections; `identity` is the animal."""
        rng = np.random.default_rng(self.seed + 1_000_003)
        found, by_frame = [], _by_frame(self.truth(), self.frames)
        dull = dict.fromkeys(range(10_000), 0)  # frames for which an animal is hard to see
        for frame, animals in enumerate(by_frame):
            for at, one in enumerate(animals):
                hidden = max((_covered(one.xywh, other.xywh) for other in animals[at + 1 :]), default=0.0)
                if dull[one.identity] == 0 and rng.random() < 0.02:
                    dull[one.identity] = int(rng.integers(2, 7))
                score = float(np.clip(rng.normal(0.82, 0.08) - 0.6 * hidden, 0.05, 0.99))
                if dull[one.identity]:
                    dull[one.identity] -= 1
                    score *= 0.4
                if rng.random() < 0.04 or hidden > 0.75 or score < 0.12:
                    continue
                x, y, w, h = np.array(one.xywh) + rng.normal(0, 0.04, 4) * np.array(one.xywh[2:] * 2)
                species = one.species if rng.random() > 0.06 else int(rng.integers(0, len(SPECIES)))
                found.append(Seen(frame, one.identity, species, _inside(x, y, w, h), score))
            for _ in range(rng.poisson(0.25)):
                box = _inside(*rng.uniform([0, 0, 20, 15], [WIDTH - 60, HEIGHT - 50, 60, 50]))
                found.append(
                    Seen(frame, 0, int(rng.integers(0, 3)), box, float(np.clip(rng.normal(0.3, 0.12), 0.1, 0.9)))
                )
        return found

    def pictures(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield the frames as (height, width, 3), BGR: ellipses over a floor that moves with the camera."""
        rng = np.random.default_rng(self.seed)
        floor = cv2.resize(rng.integers(40, 140, (45, 80, 3)).astype(np.uint8), (WIDTH * 2, HEIGHT * 2))
        swing = np.random.default_rng(self.seed)
        for _ in range(5):  # the same random numbers as in `truth`
            swing.random()
        for animals in _by_frame(self.truth(), self.frames):
            picture = floor[:HEIGHT, :WIDTH].copy()
            for one in animals:
                x, y, w, h = one.xywh
                colour = ((60, 160, 220), (200, 120, 60), (80, 80, 230))[one.species]
                cv2.ellipse(picture, ((x + w / 2, y + h / 2), (w, h), 0), colour, -1, cv2.LINE_AA)
            yield picture


def _by_frame(found: list[Seen], frames: int) -> list[list[Seen]]:
    split: list[list[Seen]] = [[] for _ in range(frames)]
    for one in found:
        split[one.frame].append(one)
    return split


def _covered(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Return the share of one box that another covers."""
    wide = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    high = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return max(0.0, wide) * max(0.0, high) / (one[2] * one[3])


def _inside(x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
    """Return a box in whole thousandths within the picture, at least one pixel large."""
    x, y = min(max(x, 0), WIDTH - 2), min(max(y, 0), HEIGHT - 2)
    w, h = min(max(w, 1), WIDTH - x), min(max(h, 1), HEIGHT - y)
    return round(float(x), 3), round(float(y), 3), round(float(w) - 0.001, 3), round(float(h) - 0.001, 3)


def as_csv(found: list[Seen], video_id: str = "1_scene") -> str:
    """Return detections in the format of results/detections/{media_id}.csv."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["video_id", "frame", "x", "y", "w", "h", "det_conf", "det_species"])
    for one in found:
        rest = min(0.02, (1 - one.score) / len(SPECIES))
        scores = [f"{one.score if at == one.species else rest:.6f}" for at in range(len(SPECIES))]
        rows.writerow([video_id, one.frame, *(f"{value:.3f}" for value in one.xywh), ":".join(scores), one.species + 1])
    return text.getvalue()


def as_mot(found: list[Seen]) -> str:
    """Return true tracks in the columns of MOT, whose frames and pixels count from 1."""
    rows = []
    for one in found:
        x, y, w, h = one.xywh
        place = ",".join(f"{value:.3f}" for value in (x + 1, y + 1, w, h))
        rows.append(f"{one.frame + 1},{one.identity},{place},1,{one.species + 1},1\n")
    return "".join(rows)


# Each has another difficulty; see docs/tracks.md.
SCENES = {
    "calm": Scene(1, animals=4, speed=2.0),
    "crossing": Scene(2, animals=9, speed=4.0),
    "fast": Scene(3, animals=5, speed=9.0, bends=0.12),
    "crowd": Scene(4, animals=18, speed=3.0),
    "moving camera": Scene(5, animals=6, speed=3.0, camera=6.0),
    "shaken camera": Scene(6, animals=6, speed=3.0, camera=12.0),
}
