"""Damage that FFmpeg reports only in its log, while its functions report success."""

import logging
import os
import re
from types import TracebackType

import av.logging

Message = tuple[int, str, str]  # level, the speaker's name, text

# Demuxers that look for the next place where they can go on, and do not say so otherwise. Bytes behind a Matroska
# file's end are none of it, so what is said of them is told apart by their place.
_DEMUXERS = re.compile(
    r"invalid as first byte of an EBML number"
    r"|exceeds containing master element"
    r"|EBML number's first byte"
    r"|edit unit sync lost"
    r"|Packet mismatch"
    r"|packet_obj_size"
    r"|packet_frag"
    r"|invalid packet_header"
    r"|freeing incomplete packet"
    r"|ff asf bad header"
    r"|Unknown-sized element"
    r"|ff asf skip \d+ \(unknown stream\)"
    r"|CRC mismatch"
    # In AVI. A large part of another kind stands there by right, such as padding (JUNK), and the pictures follow.
    r"|Something went wrong during header parsing, tag (?!(?!movi)[A-Za-z_]{4} has size \d{7,8},)"
)
_TOO_LARGE = re.compile(r"size (?P<width>\d+)x(?P<height>\d+) exceeds")
_PLACE = re.compile(r"(?:at pos|Element at) (?P<place>0x[0-9a-f]+|\d+)")
# Decoders that put something into the picture in place of what they cannot read.
_DECODERS = re.compile(
    r"error count"
    r"|overread"
    r"|error y="
    r"|error dc"
    r"|bad vlc"
    r"|ignoring overflow"
    r"|Error at MB"
    r"|CABAC_MAX_BIN"
    r"|is outside the valid range"
    r"|CRC mismatch"
    r"|mismatching checksum"
    r"|Could not find ref with POC"
    r"|Invalid value"
    r"|slice .{0,200}(?:damaged|corrupt)"
    r"|mb \d+ invalid"
    r"|discarding \d+ junk bits"
    r"|Coefficient index overflow"
    r"|bits left after decoding slice"
    r"|End mismatch"
    r"|_decode failed"
)


def listen() -> None:
    """Let FFmpeg's errors and warnings reach `Captured`; those of other callers go to the log if they are errors.

    The messages come through Python and need the interpreter's lock. So a decoder that has threads of its own must be
    flushed before it is closed: closing it would wait, with the lock, for a thread that waits for the lock.
    """
    av.logging.set_level(av.logging.INFO)  # for threads.py; `Captured` leaves out what is no warning
    av.logging.set_skip_repeated(False)
    logging.getLogger("libav").setLevel(logging.ERROR)


class Captured:
    """Collects what FFmpeg says to this thread; errors also go to file descriptor 2, where the log is.

    A class, as it is entered twice for each frame, and a generator takes twice the time.
    """

    def __init__(self, least: int = av.logging.WARNING) -> None:
        """Begin nothing yet.

        Args:
            least: the level down to which messages are kept; the list of them is complete once the block has ended.
        """
        self._least, self._capture = least, av.logging.Capture()

    def __enter__(self) -> list[Message]:
        self._said: list[Message] = self._capture.__enter__()
        return self._said

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.__exit__(None, None, None)
        if not self._said:
            return
        self._said[:] = [message for message in self._said if message[0] <= self._least]
        for level, name, text in self._said if kind is None else ():
            if level <= av.logging.ERROR:
                os.write(2, f"[{name} @ FFmpeg] {text.strip()}\n".encode())


def too_large(said: list[Message]) -> tuple[int, int] | None:
    """Return width and height of a picture that FFmpeg does not decode, as it has more than `max_pixels`."""
    found = next((size for _, _, text in said if (size := _TOO_LARGE.search(text))), None)
    return (int(found["width"]), int(found["height"])) if found else None


def demuxer_damage(said: list[Message], end: int | None) -> str | None:
    """Return the first message by which a demuxer says that it skipped something.

    Args:
        said: the messages.
        end: the byte behind the container's last; what is said of later ones does not count. None where unknown.
    """
    for _, _, text in said:
        if _DEMUXERS.search(text):
            place = _PLACE.search(text)
            if end and place and int(place["place"], 0) >= end:
                continue
            return text.strip()
    return None


def decoder_damage(said: list[Message]) -> str | None:
    """Return the first message by which a decoder says that a picture is not what was coded."""
    return next((text.strip() for _, _, text in said if _DECODERS.search(text)), None)


def missing_before(count: int) -> str:
    """Return a sentence on coded pictures that are missing before one."""
    return f"{count} coded {'picture is' if count == 1 else 'pictures are'} missing before it"
