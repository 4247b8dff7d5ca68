"""Choose a few frames of each kind, during detection, to show as pictures of a media."""

from collections.abc import Callable
from typing import Any, NamedTuple

# The kinds of frames: with the best score; with the most boxes; with the smallest mean margin of the best class.
KINDS = ("certain", "crowded", "doubtful")
PICTURES_A_KIND = 2
# Further kinds: the frame with the most boxes of a species, such as `most of 3` for species 3; and the same with only
# the boxes that score a threshold or more, such as `most of 3 at 0.5`, as the threshold for MaxN is not known yet.
MOST_OF, AT = "most of ", " at "
# The largest number of species with such frames.
SPECIES_SHOWN = 4
THRESHOLDS = tuple(tenths / 10 for tenths in range(1, 10))


class MostOf(NamedTuple):
    """A kind of frame: the first one with the most boxes of a species that score a threshold or more.

    Attributes:
        species: number of the species, from 1.
        threshold: one of THRESHOLDS, or 0 for all boxes that are kept.
    """

    species: int
    threshold: float = 0.0

    @classmethod
    def of(cls, kind: str) -> "MostOf | None":
        """Return the species and threshold of a kind's name; None for KINDS and unknown kinds."""
        species, _, threshold = kind.removeprefix(MOST_OF).partition(AT)
        return cls(int(species), float(threshold or 0)) if kind.startswith(MOST_OF) else None

    @property
    def kind(self) -> str:
        """The kind's name."""
        return f"{MOST_OF}{self.species}" + (f"{AT}{self.threshold:g}" if self.threshold else "")


class KeptFrame(NamedTuple):
    """A frame that is kept, with its value for a kind, and its picture as pixels or the place where that is stored."""

    value: float
    frame: int
    picture: Any


class BestFrames:
    """The frames with the highest values, no two of them close to each other; frames are offered in rising order."""

    def __init__(self, limit: int, gap: int) -> None:
        """Keep at most `limit` frames, at least `gap` frames apart."""
        self.kept: list[KeptFrame] = []
        self._limit, self._gap = limit, gap

    def offer(self, value: float, frame: int, picture: Callable[[], Any]) -> None:
        """Keep a frame if its value is above that of a kept frame near it, or that of the worst kept frame."""
        near = next((kept for kept in self.kept if frame - kept.frame < self._gap), None)
        rival = near or (min(self.kept) if len(self.kept) == self._limit else None)
        if rival is None or value > rival.value:
            self.kept = [kept for kept in self.kept if kept is not rival]
            self.kept.append(KeptFrame(value, frame, picture()))


class FullestFrames:
    """The first frame with the most boxes of a species, for the species with the most boxes in a frame; see MOST_OF."""

    def __init__(self, limit: int) -> None:
        """Keep the frames of at most `limit` species."""
        self.kept: dict[int, KeptFrame] = {}
        self._limit = limit

    def offer(self, species: int, boxes: float, frame: int, picture: Callable[[], Any]) -> None:
        """Keep a frame if it has more boxes of the species than earlier frames; frames are offered in rising order."""
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
        """Return the sort key, such that a video and its parts give the same frames."""
        return boxes, -frame, -species


class ChosenFrames:
    """The best frames of each kind."""

    def __init__(self, rate: float, stride: int) -> None:
        """Set how far apart chosen frames are.

        Args:
            rate: number of analysed frames per second.
            stride: every n-th frame is analysed.
        """
        gap = stride * max(1, round(rate))  # a second, so that two pictures differ
        self._best = {kind: BestFrames(PICTURES_A_KIND, gap) for kind in KINDS}
        self._fullest = {threshold: FullestFrames(SPECIES_SHOWN) for threshold in (0.0, *THRESHOLDS)}

    def offer(self, kind: str, value: float, frame: int, picture: Callable[[], Any]) -> None:
        """Offer a frame for a kind; frames are offered in rising order. Unknown kinds are ignored."""
        if (most := MostOf.of(kind)) is not None:
            self.offer_count(most, value, frame, picture)
        elif kind in self._best:
            self._best[kind].offer(value, frame, picture)

    def offer_count(self, most: MostOf, boxes: float, frame: int, picture: Callable[[], Any]) -> None:
        """Offer a frame with this number of boxes of a species; frames are offered in rising order."""
        if (fullest := self._fullest.get(most.threshold)) is not None:
            fullest.offer(most.species, boxes, frame, picture)

    def frames(self) -> dict[int, tuple[Any, dict[str, float]]]:
        """Return each chosen frame's picture, and its value for each kind for which it was chosen, the best first."""
        chosen: dict[int, tuple[Any, dict[str, float]]] = {}
        for kind, best in self._best.items():
            for value, frame, picture in sorted(best.kept, reverse=True, key=lambda kept: (kept.value, -kept.frame)):
                chosen.setdefault(frame, (picture, {}))[1][kind] = value
        for threshold, fullest in self._fullest.items():
            for species, (value, frame, picture) in sorted(fullest.kept.items()):
                chosen.setdefault(frame, (picture, {}))[1][MostOf(species, threshold).kind] = value
        return chosen
