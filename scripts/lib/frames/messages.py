"""Find damage that FFmpeg reports only in its log, while its functions report success."""

import logging
import os
import re
from types import TracebackType

import av.logging

Message = tuple[int, str, str]  # level, name of the component, text

# Messages of demuxers that skip data that they cannot read, which they report in no other way. Bytes after the end of a
# Matroska file are not part of it, so messages about them are recognized by their offset.
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
    r"|Invalid track number"
    r"|ff asf skip \d+ \(unknown stream\)"
    r"|CRC mismatch"
    # In AVI. A large chunk of another type is allowed there, such as padding (JUNK), and the pictures follow.
    r"|Something went wrong during header parsing, tag (?!(?!movi)[A-Za-z_]{4} has size \d{7,8},)"
)
_TOO_LARGE = re.compile(r"size (?P<width>\d+)x(?P<height>\d+) exceeds")
_PLACE = re.compile(r"(?:at pos|Element at) (?P<place>0x[0-9a-f]+|\d+)")
# Messages of decoders that replace parts of a picture that they cannot read.
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


def enable_capture() -> None:
    """Make FFmpeg's messages available to `Captured`; outside of `Captured`, errors go to the log.

    The messages pass through Python and need the interpreter's lock. So a decoder with its own threads must be flushed
    before it is closed: closing it would hold the lock while it waits for a thread that needs the lock.
    """
    av.logging.set_level(av.logging.INFO)  # threads.py needs this level; `Captured` keeps warnings and errors only
    av.logging.set_skip_repeated(False)
    logging.getLogger("libav").setLevel(logging.ERROR)


class Captured:
    """Collects the messages that FFmpeg writes on this thread; errors also go to file descriptor 2, which is the log.

    A context manager written as a generator takes twice the time, and this one is entered twice for each frame.
    """

    def __init__(self, least: int = av.logging.WARNING) -> None:
        """Prepare to collect messages; the list is complete when the block has ended.

        Args:
            least: the least severe level of messages to keep.
        """
        self._least, self._capture = least, av.logging.Capture()

    def __enter__(self) -> list[Message]:
        self._messages: list[Message] = self._capture.__enter__()
        return self._messages

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._capture.__exit__(None, None, None)
        if not self._messages:
            return
        self._messages[:] = [message for message in self._messages if message[0] <= self._least]
        for level, name, text in self._messages if kind is None else ():
            if level <= av.logging.ERROR:
                os.write(2, f"[{name} @ FFmpeg] {text.strip()}\n".encode())


def too_large(captured: list[Message]) -> tuple[int, int] | None:
    """Return width and height of a picture that FFmpeg refused because of `max_pixels`; None if there is none."""
    found = next((size for _, _, text in captured if (size := _TOO_LARGE.search(text))), None)
    return (int(found["width"]), int(found["height"])) if found else None


def demuxer_damage(captured: list[Message], end: int | None) -> str | None:
    """Return the first message of a demuxer that skipped data; None if there is none.

    Args:
        captured: the messages.
        end: the offset at which the container ends; messages about later bytes do not count. None if unknown.
    """
    for _, _, text in captured:
        if _DEMUXERS.search(text):
            place = _PLACE.search(text)
            if end and place and int(place["place"], 0) >= end:
                continue
            return text.strip()
    return None


def decoder_damage(captured: list[Message]) -> str | None:
    """Return the first message of a decoder that found damage in a picture; None if there is none."""
    return next((text.strip() for _, _, text in captured if _DECODERS.search(text)), None)


def missing_before(count: int) -> str:
    """Return a sentence on the number of coded pictures that are missing before a packet's picture."""
    return f"{count} coded {'picture is' if count == 1 else 'pictures are'} missing before it"
