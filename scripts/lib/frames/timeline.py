"""The numbers with which Tator's player shows the pictures of an original.

Users see boxes on the streaming copies that Tator's transcoder makes. A copy has a constant rate: the original's
average rate, rounded to four decimals. The transcoder uses FFmpeg's filter `fps`: the picture with number n is the last
one whose time, multiplied by the rate and rounded, is at most n. So if the original's times are irregular, a picture
has several numbers, or none. Times count from the beginning of the file: if sound begins before the pictures, the first
picture has all numbers up to its own.
"""

from fractions import Fraction

_DECIMALS = 4
# In formats whose clock may restart, FFmpeg treats larger steps as a restart: seconds forward and back.
_JUMP, _STEP_BACK = 10, Fraction(1, 10)
# Duration in seconds of the black pictures that the transcoder appends.
_BLACK = Fraction(8, 100)


def rounded_rate(rate: float | Fraction) -> Fraction:
    """Return a rate as the transcoder writes it, rounded to four decimals; it may become 0."""
    return Fraction(str(round(float(rate), _DECIMALS)))


class Timeline:
    """Numbers pictures by their times, in the order in which the decoder returns them.

    Attributes:
        rate: pictures per second of the copy.
        breaks: whether the clock may restart in mid-stream.
        end: the number after the last one that was assigned.
    """

    def __init__(self, rate: Fraction, time_base: Fraction, *, start: int = 0, breaks: bool = False) -> None:
        """Store the properties of the copy and of the file.

        Args:
            rate: pictures per second of the copy.
            time_base: duration of a time unit in seconds.
            start: time at which the file starts, in time units; other streams may begin before the pictures.
            breaks: whether the clock may restart in mid-stream in files of this format, such as MPEG-TS.
        """
        self.rate, self._numbers_per_unit = rate, rate * time_base
        self._unit, self._offset, self.breaks = time_base, -start, breaks
        self._usual = max(1, round(1 / self._numbers_per_unit))
        self._after: int | None = None  # when the last picture ends, by its own duration
        self._last = 0
        self._first: int | None = None  # below 0 if pictures begin before the file's start time
        self.end = 0

    def add(self, time: int | None, duration: int | None = None) -> range:
        """Add the next picture; return the numbers of the picture before it, an empty range for the first picture.

        Args:
            time: time at which the picture is shown; None if unknown: then it directly follows the one before.
            duration: duration of the picture; None or 0 if unknown: then it is computed from the rate.
        """
        if time is None:
            time = (self._after or 0) - self._offset
        time += self._offset
        if self.breaks and self._after is not None and self._is_break(time):
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
            until: time at which the picture ends according to other versions of FFmpeg; None if they agree.
            count: number of pictures of the copy according to Tator, which shows the end that the transcoder's FFmpeg
                used; includes the black pictures, and may lack the last one. None if unknown: then `until` is used.
        """
        if self._first is None or self._after is None:
            return range(0)
        ends = [self._number(self._after) - self._first]
        if until is not None:
            ends.insert(0, self._number(until + self._offset) - self._first)
        if count is not None:
            pictures = count - nearest(_BLACK * self.rate) + Fraction(1, 2)
            ends.sort(key=lambda end: abs(end - pictures))
        return self._up_to(ends[0])

    @property
    def seconds(self) -> float:
        """Time at which the last picture is shown, in seconds from the file's start."""
        return float(self._last * self._unit)

    def _up_to(self, end: int) -> range:
        numbers = range(self.end, max(self.end, end))
        self.end = numbers.stop
        return numbers

    def _is_break(self, time: int) -> bool:
        ahead = (time - (self._after or 0)) * self._unit
        return ahead > _JUMP or (time - self._last) * self._unit < -_STEP_BACK

    def _number(self, time: int) -> int:
        """Return a time in pictures, rounded as FFmpeg rounds."""
        return nearest(time * self._numbers_per_unit)


class FrameTimes:
    """Chooses the times of frames as FFmpeg's command-line tool, and so the transcoder, does.

    A frame has the display time of its packet, and the decoding time of the packet that was decoded when the frame was
    returned. FFmpeg uses the display time, unless display times went back more often than decoding times.
    """

    def __init__(self, *, of_decoding: bool = False) -> None:
        """Start before the first frame.

        Args:
            of_decoding: whether to use decoding times only, for AVI, whose packets have no display times; newer
                versions of FFmpeg make up display times that are one picture later.
        """
        self._of_decoding = of_decoding
        self._last_shown: int | None = None
        self._last_decoded: int | None = None
        self._wrong_shown = self._wrong_decoded = 0

    def of(self, shown: int | None, decoded: int | None) -> int | None:
        """Return the time of the next frame; None if it has none.

        Args:
            shown: display time of the frame's packet.
            decoded: decoding time of the packet that was decoded when the frame was returned.
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
