"""Decode with several threads, as long as the video shows no sign of damage.

FFmpeg's frame threads decode several frames at a time and return the same pictures in the same order, but they report
errors late, and some not at all. So any sign of damage, including a message of the decoder, ends such a reading with
SuspectedDamage; the video is then read again with one thread, so that each error belongs to its packet.
"""

import threading
from typing import TYPE_CHECKING, Self

import av.logging
import av.video.codeccontext

from scripts.lib import decode_threads
from scripts.lib.workflow.processes import memory

if TYPE_CHECKING:
    from scripts.lib.frames.messages import Message

# FFmpeg prints a warning if there are more.
MOST_THREADS = 16
# Additional threads of the decoder, as threads often wait for a picture that another one decodes.
_SPARE_THREADS = 2
# Memory of each thread, in frames; and the share of the free memory that all threads may use.
_FRAMES_PER_THREAD, _SHARE = 2, 0.25
# Decoders that return the same pictures with several threads as with one, or report that a file is damaged
# (tests/lib/frames/test_threads.py). VP8's ignores damage with several threads; threads do not speed up the others.
_VERIFIED = {"h264", "hevc", "libdav1d", "mpeg4", "prores", "dnxhd", "vp9"}
# FFmpeg's messages of all threads of the process are captured in one list, so only one decoder at a time has threads.
_CAPTURING = threading.Lock()
# Sources of messages about the conversion of pictures, which do not concern the file.
_CONVERTERS = ("swscaler", "sws")


class SuspectedDamage(Exception):
    """A video shows a sign of damage, and has to be read again with one thread."""


def threads_for(context: av.video.codeccontext.VideoCodecContext, wanted: int) -> int:
    """Return the number of threads to decode with.

    Each uses the memory of two frames, and all of them at most a quarter of what the job has left.

    Args:
        context: the context of the decoder.
        wanted: the largest number of threads.
    """
    wanted = min(decode_threads.limited(wanted), MOST_THREADS)
    if wanted < 2 or context.codec.name not in _VERIFIED or not context.width:
        return 1
    return max(1, min(wanted, _most_in_memory(context)))


def with_spare_threads(context: av.video.codeccontext.VideoCodecContext, threads: int) -> int:
    """Return the decoder's number of threads: two more than are to work at once, if limits and memory allow it.

    Args:
        context: the context of the decoder.
        threads: the result of `threads_for`, 2 or more.
    """
    most = min(decode_threads.limited(threads + _SPARE_THREADS), MOST_THREADS, _most_in_memory(context))
    return max(threads, most)


def _most_in_memory(context: av.video.codeccontext.VideoCodecContext) -> int:
    bits = context.format.padded_bits_per_pixel if context.format else 12
    one = _FRAMES_PER_THREAD * context.width * context.height * max(12, bits) / 8
    return int(memory.left() * _SHARE / one)


class ThreadWatch:
    """Captures the messages of all threads of a decoder; close it once.

    Only one can be open at a time.
    """

    def __init__(self, decoder: str) -> None:
        """Start to capture messages; call `open` instead.

        Args:
            decoder: FFmpeg's name of the decoder.
        """
        self._decoder = decoder
        self._capture = av.logging.Capture(local=False)
        self._messages = self._capture.__enter__()

    @classmethod
    def open(cls, decoder: str) -> Self | None:
        """Start to capture messages; return None if another watch is open."""
        return cls(decoder) if _CAPTURING.acquire(blocking=False) else None

    def sign_of_damage(self, captured: "list[Message]") -> str | None:
        """Return the first message that an undamaged video does not cause; None if there is none.

        Args:
            captured: FFmpeg's messages to the calling thread, to be checked before those of the other threads.
        """
        for level, name, text in [*captured, *self._messages]:
            # The decoder reports gaps that it fills at the level of information.
            if name == self._decoder or (level <= av.logging.WARNING and not name.startswith(_CONVERTERS)):
                return text.strip()
        return None

    def close(self) -> None:
        """Stop capturing messages."""
        self._capture.__exit__(None, None, None)
        _CAPTURING.release()
