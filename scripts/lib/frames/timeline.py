"""The numbers under which Tator's player shows the pictures of an original.

People see boxes on the streaming copies that Tator's transcoder makes. It gives a copy a constant rate, the original's
average rate rounded to four decimals, with FFmpeg's filter `fps`: at number n stands the last picture whose time,
multiplied by the rate and rounded, is at most n. So where the original's times are not even, a picture stands at
several numbers, or at none. Times count from the beginning of the file: where sound begins before the pictures, the
first picture stands at every number up to its own.
"""

from fractions import Fraction

_DECIMALS = 4
# What FFmpeg takes for a break of the clock, in formats whose clock may restart: seconds forward and back.
_JUMP, _STEP_BACK = 10, Fraction(1, 10)
# For so many seconds the transcoder appends black pictures.
_BLACK = Fraction(8, 100)


def rounded_rate(rate: float | Fraction) -> Fraction:
    """Return a rate as the transcoder writes it: rounded to four decimals; 0 for what rounds to nothing."""
    return Fraction(str(round(float(rate), _DECIMALS)))


class Timeline:
    """Numbers pictures by their times, which are given in the order in which the decoder gives the pictures.

    Attributes:
        end: how many numbers are taken so far.
    """

    def __init__(self, rate: Fraction, time_base: Fraction, *, start: int = 0, breaks: bool = False) -> None:
        """Begin.

        Args:
            rate: pictures a second in the copy.
            time_base: seconds of one unit of the times.
            start: the time at which the file starts, in these units; other streams may begin before the pictures.
            breaks: whether the file's format is one whose clock may restart in mid-stream, such as MPEG-TS.
        """
        self._rate, self._numbers_a_unit = rate, rate * time_base
        self._unit, self._offset, self._breaks = time_base, -start, breaks
        self._usual = max(1, round(1 / self._numbers_a_unit))
        self._after: int | None = None  # when the last picture ends, by its own duration
        self._last = 0
        self._first: int | None = None  # below 0 where pictures begin before the file's own beginning
        self.end = 0

    def add(self, time: int | None, duration: int | None = None) -> range:
        """Take the next picture; return the numbers of the picture before it, none for the first picture.

        Args:
            time: when the picture is shown; None if the file does not say: right after the one before.
            duration: how long; None or 0 where the file does not say: as long as the rate asks for.
        """
        if time is None:
            time = (self._after or 0) - self._offset
        time += self._offset
        if self._breaks and self._after is not None and self._is_break(time):
            self._offset += self._after - time
            time = self._after
        self._last, self._after = time, time + (duration or self._usual)
        number = self._number(time)
        if self._first is None:
            self._first = min(0, number)
            return range(0)
        return self._up_to(number - self._first)

    def finish(self, until: int | None = None, count: int | None = None) -> range:
        """Return the numbers of the last picture.

        Args:
            until: when it ends for other versions of FFmpeg than this one; None: they agree.
            count: how many numbers the copy has by Tator, which tells what the transcoder's FFmpeg takes: its black end
                included, and at times without its last number. None if that is unknown: `until` holds.
        """
        if self._first is None or self._after is None:
            return range(0)
        ends = [self._number(self._after) - self._first]
        if until is not None:
            ends.insert(0, self._number(until + self._offset) - self._first)
        if count is not None:
            pictures = count - nearest(_BLACK * self._rate) + Fraction(1, 2)
            ends.sort(key=lambda end: abs(end - pictures))
        return self._up_to(ends[0])

    @property
    def seconds(self) -> float:
        """When the last picture is shown, from the file's start."""
        return float(self._last * self._unit)

    def _up_to(self, end: int) -> range:
        numbers = range(self.end, max(self.end, end))
        self.end = numbers.stop
        return numbers

    def _is_break(self, time: int) -> bool:
        ahead = (time - (self._after or 0)) * self._unit
        return ahead > _JUMP or (time - self._last) * self._unit < -_STEP_BACK

    def _number(self, time: int) -> int:
        """Return the nearest whole number of pictures; halves go away from zero, as in FFmpeg."""
        return nearest(time * self._numbers_a_unit)


class FrameTimes:
    """Says when frames are shown, as FFmpeg's command line, and so the transcoder, takes it.

    A frame bears the time at which its packet is to be shown, and the time of the packet that was decoded when it came
    out. FFmpeg takes the first of them, unless it went back more often than the other.
    """

    def __init__(self, *, of_decoding: bool = False) -> None:
        """Begin.

        Args:
            of_decoding: take the time of decoding only, for AVI, whose packets have no other; newer versions of FFmpeg
                make one up, a picture later.
        """
        self._of_decoding = of_decoding
        self._last_shown: int | None = None
        self._last_decoded: int | None = None
        self._wrong_shown = self._wrong_decoded = 0

    def of(self, shown: int | None, decoded: int | None) -> int | None:
        """Return the time of the next frame; None if it has none.

        Args:
            shown: its packet's time of showing.
            decoded: the time of decoding of the packet with which it came out.
        """
        if self._of_decoding:
            shown = None
        if decoded is not None:
            self._wrong_decoded += self._last_decoded is not None and decoded <= self._last_decoded
            self._last_decoded = decoded
        elif shown is not None:
            self._last_decoded = shown
        if shown is not None:
            self._wrong_shown += self._last_shown is not None and shown <= self._last_shown
            self._last_shown = shown
        elif decoded is not None:
            self._last_shown = decoded
        if shown is not None and (decoded is None or self._wrong_shown <= self._wrong_decoded):
            return shown
        return decoded


def nearest(value: Fraction) -> int:
    """Round to the nearest whole number, halves away from zero."""
    whole = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return whole if value >= 0 else -whole
