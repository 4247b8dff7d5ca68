"""Choose a few frames of each kind, during detection, that are later shown as pictures."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

# Kinds of frames, by the value that counts: best score, number of boxes, and how close the best two classes' scores are
# on average.
KINDS = ("certain", "crowded", "doubtful")
PICTURES_PER_KIND = 2
# For the SPECIES_SHOWN species with the most boxes in one frame, that frame is chosen, too: `most of 3` is the frame of
# species 3. The score above which boxes count for MaxN is not known yet, so a frame is also chosen for each of
# THRESHOLDS: `most of 3 at 0.5`.
MOST_OF, AT = "most of ", " at "
SPECIES_SHOWN = 4
THRESHOLDS = tuple(tenths / 10 for tenths in range(1, 10))


class MostOf(NamedTuple):
    """A kind of frame: the first one with the most boxes of a species whose scores reach a threshold.

    Attributes:
        species: number of the species, from 1.
        threshold: one of THRESHOLDS, or 0 for all boxes.
    """

    species: int
    threshold: float = 0.0

    @classmethod
    def of(cls, kind: str) -> "MostOf | None":
        """Parse a kind; return None for KINDS and unknown kinds."""
        species, _, threshold = kind.removeprefix(MOST_OF).partition(AT)
        return cls(int(species), float(threshold or 0)) if kind.startswith(MOST_OF) else None

    @property
    def kind(self) -> str:
        """The kind as text."""
        return f"{MOST_OF}{self.species}" + (f"{AT}{self.threshold:g}" if self.threshold else "")


class KeptFrame(NamedTuple):
    """A chosen frame: its value, its number, and its picture or a reference to the picture."""

    value: float
    frame: int
    picture: Any


class BestFrames:
    """The frames with the highest values, with a minimum distance; frames are offered in ascending order."""

    def __init__(self, limit: int, gap: int) -> None:
        """Set the limits.

        Args:
            limit: largest number of frames.
            gap: smallest distance of two frames, in frames.
        """
        self.kept: list[KeptFrame] = []
        self._limit, self._gap = limit, gap

    @property
    def least(self) -> float:
        """The value above which a frame may be kept, if it is offered; others need not be offered."""
        return min(self.kept).value if len(self.kept) == self._limit else -math.inf

    def offer(self, value: float, frame: int, picture: Callable[[], Any]) -> None:
        """Keep a frame if its value is higher than that of a frame near it, or than the lowest of all."""
        near = next((kept for kept in self.kept if frame - kept.frame < self._gap), None)
        rival = near or (min(self.kept) if len(self.kept) == self._limit else None)
        if rival is None or value > rival.value:
            self.kept = [kept for kept in self.kept if kept is not rival]
            self.kept.append(KeptFrame(value, frame, picture()))


class FullestFrames:
    """The first frame with the most boxes of a species, for the species with the most boxes; see MOST_OF."""

    def __init__(self, limit: int) -> None:
        """Set the largest number of species to `limit`."""
        self.kept: dict[int, KeptFrame] = {}
        self._limit = limit

    def offer(self, species: int, boxes: float, frame: int, picture: Callable[[], Any]) -> None:
        """Keep a frame if it has more boxes of the species than all before; frames are offered in ascending order."""
        if species in self.kept and boxes <= self.kept[species].value:
            return
        if species not in self.kept and len(self.kept) == self._limit:
            least = min(self.kept, key=lambda each: self._rank(each, self.kept[each].value, self.kept[each].frame))
            if self._rank(species, boxes, frame) < self._rank(least, self.kept[least].value, self.kept[least].frame):
                return
            del self.kept[least]
        self.kept[species] = KeptFrame(boxes, frame, picture())

    @staticmethod
    def _rank(species: int, boxes: float, frame: int) -> tuple[float, int, int]:
        """Return a key for sorting that gives the same order for a whole video and for its parts."""
        return boxes, -frame, -species


class ChosenFrames:
    """The best frames of each kind."""

    def __init__(self, rate: float, stride: int) -> None:
        """Start without any frame.

        Args:
            rate: analysed frames per second.
            stride: distance between two analysed frames.
        """
        gap = stride * max(1, round(rate))  # one second, so that pictures differ
        self._best = {kind: BestFrames(PICTURES_PER_KIND, gap) for kind in KINDS}
        self._fullest = {threshold: FullestFrames(SPECIES_SHOWN) for threshold in (0.0, *THRESHOLDS)}

    def least(self, kind: str) -> float:
        """Return the value above which a frame may be kept for one of KINDS; others need not be offered."""
        return self._best[kind].least

    def offer(self, kind: str, value: float, frame: int, picture: Callable[[], Any]) -> None:
        """Offer a frame for a kind; frames are offered in ascending order. Unknown kinds are ignored."""
        if (most := MostOf.of(kind)) is not None:
            self.offer_count(most, value, frame, picture)
        elif kind in self._best:
            self._best[kind].offer(value, frame, picture)

    def offer_count(self, most: MostOf, boxes: float, frame: int, picture: Callable[[], Any]) -> None:
        """Offer a frame for the number of its boxes of a species; frames are offered in ascending order."""
        if (fullest := self._fullest.get(most.threshold)) is not None:
            fullest.offer(most.species, boxes, frame, picture)

    def frames(self) -> dict[int, tuple[Any, dict[str, float]]]:
        """Return for each chosen frame its picture, and its value for each kind for which it was chosen, best first."""
        chosen: dict[int, tuple[Any, dict[str, float]]] = {}
        for kind, best in self._best.items():
            for value, frame, picture in sorted(best.kept, reverse=True, key=lambda kept: (kept.value, -kept.frame)):
                chosen.setdefault(frame, (picture, {}))[1][kind] = value
        for threshold, fullest in self._fullest.items():
            for species, (value, frame, picture) in sorted(fullest.kept.items()):
                chosen.setdefault(frame, (picture, {}))[1][MostOf(species, threshold).kind] = value
        return chosen
