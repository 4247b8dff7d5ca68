"""Check whether a video that is read again has the same frames as before."""

from collections.abc import Sequence

from scripts.lib.detection.batch import Item


class DifferentFramesError(Exception):
    """A video had different frames when it was read again."""


class EarlierFrames:
    """The frames of a video's first reading, to compare those of the second reading with."""

    def __init__(self, digests: Sequence[int]) -> None:
        """Store the digests.

        Args:
            digests: the digests of the frames, in order.
        """
        self._digests, self._next = digests, 0

    @property
    def complete(self) -> bool:
        """Whether all frames have been compared."""
        return self._next == len(self._digests)

    def require(self, digest: int) -> None:
        """Compare the next frame.

        Args:
            digest: the digest of the frame.

        Raises:
            DifferentFramesError: the frame is different.
        """
        if self._digests[self._next] != digest:
            raise DifferentFramesError
        self._next += 1


def digest_of(item: Item, sums: bytes) -> int:
    """Return a digest that differs for different frames of a media.

    Args:
        item: the frame; its numbers and sizes are included.
        sums: the sums of the rows of its picture.
    """
    region = item.piece.region if item.piece else None
    return hash((item.number, tuple(item.numbers), item.size, item.media, region, sums))
