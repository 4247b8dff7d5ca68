"""Which coded pictures came out of the decoder, and which never did."""

from fractions import Fraction

# A decoder holds back at most 16 pictures, or as many pairs of fields.
_DELAY = 32
_SAME_PLACE = 1.5  # frame durations: less than this between two frames is no gap


class Coded:
    """A packet on its way through the decoder, which hands it on with the frame that it becomes."""

    __slots__ = ("epoch", "index", "key", "time", "where")

    def __init__(self, index: int, epoch: int, time: int | None, where: str, *, key: bool) -> None:
        self.index, self.epoch, self.time, self.where, self.key = index, epoch, time, where, key

    def before(self, other: "Coded") -> bool:
        """Return whether it must have come out before `other`, if it comes at all."""
        if self.time is None or other.time is None:
            return self.index < other.index - _DELAY
        return (self.epoch, self.time) < (other.epoch, other.time)


class Completeness:
    """Compares what packets announce with what comes out; holds only what is still to come.

    Attributes:
        skipped: pictures before the first key frame that can be shown, which have nothing to be decoded from.
        missing: pictures that were announced, or stand in a gap beside damage, and did not come out.
    """

    def __init__(self, period: Fraction | None) -> None:
        """Begin a stream; `period` is how long a frame is shown, in its time unit, None where nothing tells."""
        self.skipped = self.missing = 0
        self._period = period
        self._pending: dict[int, Coded] = {}
        self._first_key: Coded | None = None
        self._last: Coded | None = None
        self._epoch, self._decoded_at = 0, None  # type: int, int | None
        self._latest: int | None = None
        self._reordered = False

    @property
    def started(self) -> bool:
        """Whether a frame came out."""
        return self._last is not None

    @property
    def key_seen(self) -> bool:
        """Whether a key frame was announced."""
        return self._first_key is not None

    def announce(self, index: int, time: int | None, decoded_at: int | None, where: str, *, key: bool) -> Coded:
        """Note a packet whose picture is to be shown."""
        if decoded_at is not None:
            # Joined files begin their times anew.
            far = self._period * _DELAY if self._period else 0
            if self._decoded_at is not None and decoded_at < self._decoded_at - far:
                self._epoch, self._latest = self._epoch + 1, None
            self._decoded_at = decoded_at
        if time is not None:
            self._reordered |= self._latest is not None and time < self._latest
            self._latest = time if self._latest is None else max(time, self._latest)
        coded = Coded(index, self._epoch, time, where, key=key)
        if key and self._first_key is None:
            self._first_key = coded
        self._pending[index] = coded
        return coded

    def arrive(self, coded: Coded, *, damaged: bool) -> tuple[list[Coded], int, str | None]:
        """Note that a picture came out.

        Args:
            coded: its packet.
            damaged: whether something else says that the file is damaged up to here.

        Returns: the announced pictures that should have come before it and can come no more; how many more a gap
        in time has room for, beside damage; and a sentence when it is out of order, else None.
        """
        wrong = None
        if self._pending.pop(coded.index, None) is None:
            wrong = "it came out twice"
        lost = [each for each in self._pending.values() if each.before(coded)]
        for each in lost:
            del self._pending[each.index]
        if self._last is None:
            lost = self._without_leading(lost)
        elif self._reordered and coded.before(self._last):
            wrong = wrong or "it is shown before the one before it"
        gap = self._gap(coded, len(lost)) if lost or damaged else 0
        if self._last is None or not coded.before(self._last):
            self._last = coded
        self.missing += len(lost) + gap
        return lost, gap, wrong

    def end(self) -> list[Coded]:
        """Return the pictures that never came out."""
        lost = self._without_leading(list(self._pending.values())) if self._last is None else [*self._pending.values()]
        self._pending = {}
        self.missing += len(lost)
        return lost

    def _without_leading(self, lost: list[Coded]) -> list[Coded]:
        """Take out, and count, what needs pictures from before the file's first key frame."""
        key = self._first_key
        if key is None:
            return lost
        needed = [
            each for each in lost if each.index >= key.index and not (each.index > key.index and each.before(key))
        ]
        self.skipped += len(lost) - len(needed)
        return needed

    def _gap(self, coded: Coded, lost: int) -> int:
        """Return for how many pictures more than those that are known to be lost there is room before this one."""
        last = self._last
        if last is None or last.time is None or coded.time is None or last.epoch != coded.epoch or not self._period:
            return 0
        places = (coded.time - last.time) / self._period
        return max(0, round(places) - 1 - lost) if places > _SAME_PLACE else 0
