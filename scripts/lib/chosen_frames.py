"""Choose the frames of a media that are shown as pictures, during detection, a few of each kind."""

from collections.abc import Callable
from typing import Any, NamedTuple

# How a frame comes to be chosen: its best score, its number of boxes, how little its species lead on average.
KINDS = ("certain", "crowded", "doubtful")
PICTURES_A_KIND = 2
# Besides, for so many species with the most boxes of their own in one frame, that frame: `most of 3` is species 3's. So
# that MaxN has a picture whatever score counts, which is not known yet, likewise of the boxes that score each of some
# thresholds or more: `most of 3 at 0.5`.
MOST_OF, AT = "most of ", " at "
SPECIES_SHOWN = 4
THRESHOLDS = tuple(tenths / 10 for tenths in range(1, 10))


class MostOf(NamedTuple):
    """A kind of frame: the first one with the most boxes of a species that score a threshold or more.

    Attributes:
        species: its number, from 1.
        threshold: one of THRESHOLDS, or 0 for all boxes that are kept.
    """

    species: int
    threshold: float = 0.0

    @classmethod
    def of(cls, kind: str) -> "MostOf | None":
        """Return what a kind says; None for one of KINDS and others."""
        species, _, threshold = kind.removeprefix(MOST_OF).partition(AT)
        return cls(int(species), float(threshold or 0)) if kind.startswith(MOST_OF) else None

    @property
    def kind(self) -> str:
        """The kind in words."""
        return f"{MOST_OF}{self.species}" + (f"{AT}{self.threshold:g}" if self.threshold else "")


class KeptFrame(NamedTuple):
    """A frame that is kept, and what for; its picture as pixels, or a place where it is."""

    value: float
    frame: int
    picture: Any


class BestFrames:
    """The frames of the highest value, no two of them close to each other; frames are offered in rising order."""

    def __init__(self, limit: int, gap: int) -> None:
        """Keep at most `limit` frames, at least `gap` frames apart."""
        self.kept: list[KeptFrame] = []
        self._limit, self._gap = limit, gap

    def offer(self, value: float, frame: int, picture: Callable[[], Any]) -> None:
        """Keep a frame if it is better than one near it, or than the worst of all."""
        near = next((kept for kept in self.kept if frame - kept.frame < self._gap), None)
        rival = near or (min(self.kept) if len(self.kept) == self._limit else None)
        if rival is None or value > rival.value:
            self.kept = [kept for kept in self.kept if kept is not rival]
            self.kept.append(KeptFrame(value, frame, picture()))


class FullestFrames:
    """The first frame with the most boxes of a species, for the few species that have most; see MOST_OF."""

    def __init__(self, limit: int) -> None:
        """Keep the frames of at most `limit` species."""
        self.kept: dict[int, KeptFrame] = {}
        self._limit = limit

    def offer(self, species: int, boxes: float, frame: int, picture: Callable[[], Any]) -> None:
        """Keep a frame if it has more boxes of the species than those before; frames are offered in rising order."""
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
        """Return what decides, the same for a video and for its parts."""
        return boxes, -frame, -species


class ChosenFrames:
    """The best frames of each kind."""

    def __init__(self, rate: float, stride: int) -> None:
        """Choose none yet.

        Args:
            rate: frames a second, of those that are looked at.
            stride: every n-th frame is looked at.
        """
        gap = stride * max(1, round(rate))  # a second, so that two pictures differ
        self._best = {kind: BestFrames(PICTURES_A_KIND, gap) for kind in KINDS}
        self._fullest = {threshold: FullestFrames(SPECIES_SHOWN) for threshold in (0.0, *THRESHOLDS)}

    def offer(self, kind: str, value: float, frame: int, picture: Callable[[], Any]) -> None:
        """Offer a frame for a kind; frames are offered in rising order. What is of no known kind is passed over."""
        if (most := MostOf.of(kind)) is not None:
            self.offer_count(most, value, frame, picture)
        elif kind in self._best:
            self._best[kind].offer(value, frame, picture)

    def offer_count(self, most: MostOf, boxes: float, frame: int, picture: Callable[[], Any]) -> None:
        """Offer a frame with so many boxes of a species; likewise."""
        if (fullest := self._fullest.get(most.threshold)) is not None:
            fullest.offer(most.species, boxes, frame, picture)

    def frames(self) -> dict[int, tuple[Any, dict[str, float]]]:
        """Return each chosen frame's picture and its value for each kind that it was chosen for, the best first."""
        chosen: dict[int, tuple[Any, dict[str, float]]] = {}
        for kind, best in self._best.items():
            for value, frame, picture in sorted(best.kept, reverse=True, key=lambda kept: (kept.value, -kept.frame)):
                chosen.setdefault(frame, (picture, {}))[1][kind] = value
        for threshold, fullest in self._fullest.items():
            for species, (value, frame, picture) in sorted(fullest.kept.items()):
                chosen.setdefault(frame, (picture, {}))[1][MostOf(species, threshold).kind] = value
        return chosen
