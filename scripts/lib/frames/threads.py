"""Decode with several threads, as long as the video shows no sign of damage.

FFmpeg's frame threads decode several frames at a time and return the same pictures in the same order, but they report
errors late, and some not at all. So any sign of damage, also a message of the decoder, ends such a
reading with SuspectedDamage; the video is then read again with one thread, in which errors belong to their packets.
"""

import threading
from typing import TYPE_CHECKING, Self

import av.logging
import av.video.codeccontext

from scripts.lib import decode_threads, memory

if TYPE_CHECKING:
    from scripts.lib.frames.messages import Message

# FFmpeg warns of more.
MOST_THREADS = 16
# The decoder gets so many threads more than work at once: one often waits for a picture that another one decodes.
_WAITING = 2
# A frame in flight and what its thread keeps of it, in frames; and the share of the free memory that they may take.
_HELD_BY_THREAD, _SHARE = 2, 0.25
# Decoders that gave the same with several threads as with one, also of damaged files, or said that they did not
# (tests/lib/frames/test_threads.py). VP8's passes over damage then, and the others have no threads that help.
_PROVEN = {"h264", "hevc", "libdav1d", "mpeg4", "prores", "dnxhd", "vp9"}
# FFmpeg's words for all threads of the process go to one list; so one decoder at a time has threads.
_LISTENING = threading.Lock()
# Who converts pictures, on the thread of whoever reads; what it says has nothing to do with the file.
_CONVERTERS = ("swscaler", "sws")


class SuspectedDamage(Exception):
    """Something is not as in a sound video: read it again with one thread."""


def threads_for(context: av.video.codeccontext.VideoCodecContext, asked: int) -> int:
    """Return with how many threads to decode, so many as work at once.

    Each takes the memory of two frames more, all of them together at most a quarter of what the job has left.

    Args:
        context: of the decoder.
        asked: the most.
    """
    asked = min(decode_threads.limited(asked), MOST_THREADS)
    if asked < 2 or context.codec.name not in _PROVEN or not context.width:
        return 1
    return max(1, min(asked, _most_in_memory(context)))


def with_waiting(context: av.video.codeccontext.VideoCodecContext, threads: int) -> int:
    """Return how many threads the decoder gets, so that `threads` of them are at work: two more where they may be.

    Args:
        context: of the decoder.
        threads: what `threads_for` returned, 2 or more.
    """
    most = min(decode_threads.limited(threads + _WAITING), MOST_THREADS, _most_in_memory(context))
    return max(threads, most)


def _most_in_memory(context: av.video.codeccontext.VideoCodecContext) -> int:
    bits = context.format.padded_bits_per_pixel if context.format else 12
    one = _HELD_BY_THREAD * context.width * context.height * max(12, bits) / 8
    return int(memory.left() * _SHARE / one)


class ThreadWatch:
    """Listens to all threads of a decoder; closed once.

    Only one can be open at a time.
    """

    def __init__(self, decoder: str) -> None:
        """Begin.

        Args:
            decoder: FFmpeg's name of the decoder.
        """
        self._decoder = decoder
        self._capture = av.logging.Capture(local=False)
        self._said = self._capture.__enter__()

    @classmethod
    def open(cls, decoder: str) -> Self | None:
        """Begin to listen; return None if another one is open."""
        return cls(decoder) if _LISTENING.acquire(blocking=False) else None

    def words(self, said: "list[Message]") -> str | None:
        """Return the first message that a sound video does not cause; None if there is none.

        Args:
            said: what FFmpeg said to the thread that called it; the other threads' words are known.
        """
        for level, name, text in [*said, *self._said]:
            # Gaps that the decoder fills are told at the level of information.
            if name == self._decoder or (level <= av.logging.WARNING and not name.startswith(_CONVERTERS)):
                return text.strip()
        return None

    def close(self) -> None:
        """Listen no longer."""
        self._capture.__exit__(None, None, None)
        _LISTENING.release()
