"""Find out which coded pictures were decoded, and which are missing."""

import math
from fractions import Fraction

from scripts.lib.frames.codecs.mpeg_pictures import GroupPlace
from scripts.lib.frames.time_gaps import TimeGaps

# A decoder delays at most 16 pictures, or as many pairs of fields.
_DELAY = 32
_LONGEST_GAP = 10  # seconds; a longer gap means that a recording was stopped, or that files were joined
_SAME_PLACE = 1.5  # frame durations: less than this between two frames is not a gap


class CodedPacket:
    """A packet that was sent to the decoder, which returns it with the decoded frame."""

    __slots__ = ("epoch", "index", "key", "leading", "place", "segment", "time", "where")

    def __init__(self, index: int, epoch: int, time: int | None, where: str, *, key: bool) -> None:
        self.index, self.epoch, self.time, self.where, self.key = index, epoch, time, where, key
        self.leading = False  # shown before the first key frame, but stored after it
        self.place: GroupPlace | None = None
        self.segment = 0  # number of the edit list's segment

    def before(self, other: "CodedPacket", *, timed: bool = True) -> bool:
        """Return whether this packet's frame, if there is one, is always decoded before the frame of `other`.

        Args:
            other: the packet whose frame was decoded.
            timed: whether the times are display times.
        """
        if self.segment != other.segment:
            return False
        if self.leading and not other.leading:
            return True
        if self.place is not None and other.place is not None:
            return self.place.number < other.place.number
        if not timed or self.time is None or other.time is None:
            return self.index < other.index - _DELAY
        return (self.epoch, self.time) < (other.epoch, other.time)


class Completeness:
    """Compares the packets with the decoded frames; keeps only packets whose frames are not decoded yet.

    Attributes:
        skipped: number of pictures that cannot be decoded because their references are before the first key frame
            that is shown; includes pictures that are shown before that key frame and stored after it.
        missing: number of pictures that were not decoded: pictures of known packets, and pictures that fit into a gap
            in time next to damage.
        gaps: the gaps in time that the missing pictures do not fill.
        next_frame: the number of the next frame, without the missing ones before it; None if frames are not numbered
            in order.
        key_left_out: whether an edit list leaves out a key frame before the first one that is shown.
        at_end: whether the decoder is being flushed at the stream's end. Pictures that are shown before the last one
            are stored after it, and may have been cut off.
    """

    def __init__(
        self, period: Fraction | None, unit: Fraction | None, *, reorders: bool = False, two_times: bool = True
    ) -> None:
        """Store the properties of a stream, none of whose packets was read yet.

        Args:
            period: duration of a frame, in time units; None if it is unknown.
            unit: duration of a time unit in seconds; None if it is unknown.
            reorders: whether pictures are shown in another order than they are stored. Some files, such as AVI, have
                no display times: then all times are decoding times, and do not show the order. Times that go back, or
                whose difference from the decoding times varies, are display times.
            two_times: whether the file has both display times and decoding times; otherwise FFmpeg derives one from
                the other.
        """
        self._timed, self._two_times, self._offset = not reorders, two_times, None  # type: bool, bool, int | None
        self._latest: tuple[int, int] | None = None  # epoch and time
        self.skipped = self.missing = 0
        self.at_end = False
        self.gaps = TimeGaps()
        self._period = period
        # In frame durations.
        self._longest_gap = float((_LONGEST_GAP / unit if unit else 0) / period) if period else math.inf
        self.next_frame: int | None = 0
        self._pending: dict[int, CodedPacket] = {}
        self._first_key: CodedPacket | None = None
        self.key_left_out = False
        self._last: CodedPacket | None = None
        self._epoch, self._decoded_at = 0, None  # type: int, int | None
        self._announced = self._segment = 0
        # The last gap whose pictures were counted as missing: its epoch, start time, end time, and number of pictures.
        # Packets of these pictures may still follow.
        self._filled = (0, 0, 0, 0)
        # The last gaps that were not counted: the index of the packet after each, and the pictures that fit into it.
        self._open: list[tuple[int, int]] = []

    @property
    def started(self) -> bool:
        """Whether a frame was decoded."""
        return self._last is not None

    @property
    def key_seen(self) -> bool:
        """Whether there was a key frame."""
        return self._first_key is not None or self.key_left_out

    def skips(self, decoded_at: int | None) -> bool:
        """Return whether a packet with this decoding time is more than one frame duration after the last packet."""
        if decoded_at is None or self._decoded_at is None or not self._period:
            return False
        return decoded_at - self._decoded_at > _SAME_PLACE * self._period

    def begin_at(self, coded: CodedPacket) -> None:
        """Treat a decoded picture as the first key frame if no packet is marked as one."""
        if not self.key_seen:
            self._first_key = coded

    def skip(self, coded: CodedPacket | None) -> None:
        """Count a decoded picture as skipped because it refers to pictures before the stream's beginning.

        Args:
            coded: the picture's packet; None if it is not the first picture in its packet.
        """
        if coded is not None:
            self.skipped += self._pending.pop(coded.index, None) is not None
        if self._first_key is coded:
            self._first_key = None

    def leave_out(self, *, key: bool) -> None:
        """Note a packet whose picture an edit list leaves out; pictures after a left-out key frame can be decoded."""
        self.key_left_out = self.key_left_out or (key and self._first_key is None)

    def restart(self) -> None:
        """Treat the following packets as another recording, for example after a jump in an edit list."""
        self._segment += 1
        self._epoch, self._decoded_at = self._epoch + 1, None

    def announce(self, index: int, time: int | None, decoded_at: int | None, where: str, *, key: bool) -> CodedPacket:
        """Record a packet whose picture should be decoded and shown."""
        if decoded_at is not None:
            # Times in joined files restart with a key frame, or overlap a little.
            last = self._decoded_at
            # Where FFmpeg has no decoding times, it gives display times, which also step back before B-frames.
            most = (self._period or 0) * (_DELAY if decoded_at == time else 1)
            if last is not None and decoded_at < last and (key or decoded_at < last - most):
                self._epoch += 1
            self._decoded_at = decoded_at
        if time is not None:
            latest = self._latest
            self._timed = self._timed or (latest is not None and latest[0] == self._epoch and time < latest[1])
            if self._two_times and decoded_at is not None:
                self._timed = self._timed or self._offset not in (None, time - decoded_at)
                self._offset = time - decoded_at
            self._latest = max(latest or (self._epoch, time), (self._epoch, time))
        coded = CodedPacket(index, self._epoch, time, where, key=key)
        coded.segment = self._segment
        if key and not self.key_seen:
            self._first_key = coded
        self._pending[index] = coded
        self._announced = index
        return coded

    def arrive(self, coded: CodedPacket, *, damaged: bool) -> tuple[list[CodedPacket], int, bool]:
        """Record that a picture was decoded.

        Args:
            coded: the picture's packet.
            damaged: whether other damage was found in the file so far.

        Returns:
            the packets whose pictures should have been decoded before this one and are lost; the number of further
            missing pictures that fit into a gap in time, next to damage; and whether the picture is too late because
            it was counted as missing.
        """
        if self._pending.pop(coded.index, None) is None:
            return [], 0, True
        lost = [each for each in self._pending.values() if self._is_lost(each, coded)]
        for each in lost:
            del self._pending[each.index]
        lost = self._not_counted(self._without_leading(lost))
        absent = self._absent(coded, len(lost))
        room = self._gap(coded, len(lost)) if absent is None else absent
        gap = room if lost or damaged or absent else 0
        if room and not gap:
            self._open = [
                *((at, places) for at, places in self._open if at > coded.index - _DELAY),
                (coded.index, room),
            ]
        self._count_step(coded, len(lost) + gap)
        if self.next_frame is not None:
            self.next_frame += 1
        if gap and self._last is not None:
            self._filled = coded.epoch, self._last.time or 0, coded.time or 0, gap
        self._last = coded
        self.missing += len(lost) + gap
        return lost, gap, False

    def fill(self, count: int) -> int:
        """Count pictures as missing in the last gaps in time, if other evidence shows later that they are missing.

        Args:
            count: the number of missing pictures.

        Returns:
            the number of pictures that fit into the gaps; the next frames' numbers include them.
        """
        filled = 0
        for at, places in self._open:
            taken = min(count - filled, places)
            if at > self._announced - _DELAY and taken:
                filled += taken
        self._open = []
        self.missing += filled
        self.gaps.subtract(filled)
        return filled

    def end(self) -> list[CodedPacket]:
        """Return the packets whose pictures were never decoded."""
        lost = self._not_counted(self._without_leading([*self._pending.values()]))
        self._pending = {}
        self.missing += len(lost)
        return lost

    def _not_counted(self, lost: list[CodedPacket]) -> list[CodedPacket]:
        """Return the packets whose pictures were not already counted with a gap before the packets were read."""
        epoch, start, end, places = self._filled
        new = []
        for each in lost:
            if places and each.epoch == epoch and each.time is not None and start < each.time < end:
                places -= 1
            else:
                new.append(each)
        self._filled = epoch, start, end, places
        return new

    def _is_lost(self, waiting: CodedPacket, decoded: CodedPacket) -> bool:
        """Return whether the picture of `waiting` can no longer be decoded, as that of `decoded` was."""
        key = self._first_key
        if self._last is None and key is not None and waiting.index < key.index <= decoded.index:
            return True
        return waiting.before(decoded, timed=self._timed)

    def _without_leading(self, lost: list[CodedPacket]) -> list[CodedPacket]:
        """Return the packets without those that need pictures from before the first key frame; count these."""
        key = self._first_key
        if key is None:
            return lost
        begun = self._last is not None
        needed = [
            each
            for each in lost
            if each is key
            or (not each.leading and (begun or (each.index > key.index and not each.before(key, timed=self._timed))))
        ]
        self.skipped += len(lost) - len(needed)
        return needed

    def _absent(self, coded: CodedPacket, lost: int) -> int | None:
        """Return how many more pictures are missing before this one by its place in the group; None if unknown."""
        here, last = coded.place, None if self._last is None else self._last.place
        if here is None or last is None or self._last is None or coded.segment != self._last.segment:
            return None
        if self.at_end and not self._pending:
            return 0
        if here.group != last.group and here.number == last.number + 1 + lost:
            return None
        return max(0, here.number - last.number - 1 - lost)

    def _places(self, coded: CodedPacket) -> float | None:
        """Return the number of frame durations between the last frame and this one; None if unknown."""
        last = self._last
        if last is None or last.time is None or coded.time is None or last.epoch != coded.epoch or not self._period:
            return None
        if not self._timed:
            return None
        period = self._period  # division of fractions takes ten times as long
        return (coded.time - last.time) * period.denominator / period.numerator

    def _count_step(self, coded: CodedPacket, lost: int) -> None:
        """Record the time step from the last frame, minus the frames that are known to be lost."""
        places = self._places(coded)
        if places is None or self._last is None or places > self._longest_gap:
            return
        before = "" if self.next_frame is None else f"frame {self.next_frame + self.missing - 1}, "
        self.gaps.add(places - lost, before + self._last.where)

    def _gap(self, coded: CodedPacket, lost: int) -> int:
        """Return how many pictures, in addition to those known to be lost, fit between the last one and this one."""
        places = self._places(coded)
        if places is None or places < _SAME_PLACE or not self.gaps.constant:
            return 0  # at a variable or unknown rate, a gap does not mean missing frames
        return max(0, round(places) - 1 - lost)
