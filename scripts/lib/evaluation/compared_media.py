"""A media of a run, or of a version in Tator, that is compared with the same media of another one."""

from dataclasses import dataclass, replace

from scripts.lib.evaluation.truth import LabeledBox, scaled
from scripts.lib.frames.used_frames import UsedFrames
from scripts.lib.records.detection import RequestedFrames
from scripts.lib.records.states import WITH_RESULT


# Only the keys that are needed are read, as a run may have records of an earlier version.
@dataclass(frozen=True, kw_only=True)
class NetworkClasses:
    """The classes of the network that a media was detected with."""

    classes: list[str]


@dataclass(frozen=True, kw_only=True)
class ComparedFrames:
    """The frames of a media that a run has read."""

    numbers: int
    lost: list[list[int]] | None = None


@dataclass(frozen=True, kw_only=True)
class ComparedMedia:
    """A media of a side: its name, its size in pixels (0 if unknown), and what a run did (None in a version)."""

    name: str | None
    width: int
    height: int
    network: NetworkClasses | None = None
    state: str | None = None
    kind: str | None = None
    frames: ComparedFrames | None = None
    asked: RequestedFrames | None = None

    @property
    def is_analysed(self) -> bool:
        """Whether the side has a result, with or without boxes."""
        return self.state in (None, *WITH_RESULT, "damaged")

    @property
    def used_frames(self) -> UsedFrames | None:
        """The frames that went through the network; None if they are unknown, as in a version."""
        if self.frames is None or self.asked is None:
            return None
        return UsedFrames.requested(self.kind, self.asked, self.frames.numbers, self.frames.lost)


def in_frames_of(boxes: list[LabeledBox], other: ComparedMedia) -> list[LabeledBox]:
    """Return one side's boxes in the frames that went through the network on the other side."""
    frames = other.used_frames
    return boxes if frames is None else [box for box in boxes if box.picture[1] in frames]


def in_pixels_of(boxes: list[LabeledBox], own: ComparedMedia, other: ComparedMedia) -> list[LabeledBox]:
    """Return one side's boxes of a media in pixels of the other side's, which may have read a copy of another size."""
    before, after = (own.width, own.height), (other.width, other.height)
    return [replace(box, xywh=scaled(box.xywh, before, after)) for box in boxes] if before != after else boxes
