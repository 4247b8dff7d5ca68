"""What every source of frames has in common: the frames, and a record of everything that went wrong."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self, TypedDict

import numpy as np
import numpy.typing as npt

from scripts.lib.errors import MediaFault

log = logging.getLogger(__name__)

Kind = Literal["video", "image"]
Picture = npt.NDArray[np.uint8]  # (height, width, 3), BGR

MAX_PIXELS = 200_000_000
ERRORS_KEPT = 100


class FrameError(TypedDict):
    """One decoding error: where in the file, and what FFmpeg says."""

    where: str
    what: str


@dataclass
class Summary:
    """What reading a media gave so far; complete once the frames are exhausted.

    Attributes:
        decoded: frames given out.
        declared: frames the container says it has, None where it does not say. Edit lists and some writers make
            it differ from `decoded` in a sound file.
        errors: the first hundred decoding errors.
        error_count: all of them.
        width: pixels of the first frame, after its rotation; 0 before it.
        height: likewise.
        cut: a sentence when the file ends before its container says, else None.
    """

    declared: int | None = None
    decoded: int = 0
    errors: list[FrameError] = field(default_factory=list)
    error_count: int = 0
    width: int = 0
    height: int = 0
    cut: str | None = None

    @property
    def damaged(self) -> bool:
        """Whether frames may be missing, wrong, or numbered wrongly."""
        return bool(self.error_count or self.cut)

    @property
    def damage(self) -> str:
        """One sentence on the damage; empty for a sound file."""
        parts = []
        if self.error_count:
            first = self.errors[0]
            plural = "error" if self.error_count == 1 else "errors"
            parts.append(f"{self.error_count} decoding {plural}, the first at {first['where']}: {first['what']}")
        if self.cut:
            parts.append(self.cut)
        return "; ".join(parts)

    def add_error(self, where: str, what: str) -> None:
        """Record one decoding error."""
        self.error_count += 1
        if len(self.errors) < ERRORS_KEPT:
            self.errors.append({"where": where, "what": what})
            log.warning("%s: %s", where, what)

    def add_frame(self, picture: Picture) -> int:
        """Count a frame and return its number, from 0."""
        if self.decoded == 0:
            self.height, self.width = picture.shape[:2]
        self.decoded += 1
        return self.decoded - 1


class FrameSource(ABC):
    """The frames of one media; a context manager that closes the file.

    Attributes:
        summary: see Summary.
    """

    def __init__(self) -> None:
        self.summary = Summary()

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[int, Picture]]:
        """Yield (frame number from 0, picture of shape (height, width, 3), BGR, uint8), once.

        Frames keep their own size when it changes in mid-stream.

        Raises:
            MediaFault: not one frame can be decoded, or one exceeds MAX_PIXELS.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the file; may be called again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_size(width: int, height: int) -> None:
    """Refuse pictures that would need gigabytes.

    Raises:
        MediaFault: `unsupported`, naming the size and the limit.
    """
    if width * height > MAX_PIXELS:
        raise MediaFault(
            "unsupported",
            f"its pictures are {width} x {height} pixels; at most {MAX_PIXELS / 1e6:.0f} megapixels are taken",
        )
