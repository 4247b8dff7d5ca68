"""Which frames of a media are shown as pictures; they are chosen while it is detected in, a few of each kind."""

from collections.abc import Callable
from typing import Any, NamedTuple

# How a frame comes to be chosen: its best score, its number of boxes, how little its species lead on average.
KINDS = ("certain", "crowded", "doubtful")
PICTURES_A_KIND = 2
# Besides, for so many species with the most boxes of their own in one frame, that frame: `MOST_OF 3` is species 3's.
MOST_OF = "most of "
SPECIES_SHOWN = 4


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
        self._fullest = FullestFrames(SPECIES_SHOWN)

    def offer(self, kind: str, value: float, frame: int, picture: Callable[[], Any]) -> None:
        """Offer a frame for a kind; frames are offered in rising order. What is of no known kind is passed over."""
        if (species := species_of(kind)) is not None:
            self._fullest.offer(species, value, frame, picture)
        elif kind in self._best:
            self._best[kind].offer(value, frame, picture)

    def frames(self) -> dict[int, tuple[Any, dict[str, float]]]:
        """Return each chosen frame's picture and its value for each kind that it was chosen for, the best first."""
        chosen: dict[int, tuple[Any, dict[str, float]]] = {}
        for kind, best in self._best.items():
            for value, frame, picture in sorted(best.kept, reverse=True, key=lambda kept: (kept.value, -kept.frame)):
                chosen.setdefault(frame, (picture, {}))[1][kind] = value
        for species, (value, frame, picture) in sorted(self._fullest.kept.items()):
            chosen.setdefault(frame, (picture, {}))[1][f"{MOST_OF}{species}"] = value
        return chosen


def species_of(kind: str) -> int | None:
    """Return the species of which a frame of this kind has the most boxes; None of another kind."""
    return int(kind.removeprefix(MOST_OF)) if kind.startswith(MOST_OF) else None
