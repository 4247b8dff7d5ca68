"""Check whether a video that is read again has the same frames as before."""

from collections.abc import Sequence

from scripts.lib.detection.batch import Item


class OtherFrames(Exception):
    """A video had other frames when it was read again."""


class Repeated:
    """The frames that a video gave out when it was read before, which come out again first."""

    def __init__(self, given: Sequence[int]) -> None:
        """Begin.

        Args:
            given: the digest of each.
        """
        self._given, self._at = given, 0

    @property
    def complete(self) -> bool:
        """Whether all of them came out again."""
        return self._at == len(self._given)

    def require(self, digest: int) -> None:
        """Compare the next frame.

        Raises:
            OtherFrames: it is another one.
        """
        if self._given[self._at] != digest:
            raise OtherFrames
        self._at += 1


def digest_of(item: Item, sums: bytes) -> int:
    """Return what tells frames of a media apart.

    Args:
        item: of which the numbers and sizes count.
        sums: of the rows of its picture.
    """
    region = item.piece.region if item.piece else None
    return hash((item.number, tuple(item.numbers), item.size, item.media, region, sums))
