"""The keys of a run's records that are shown while it is watched, as it may have records of an earlier version."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WatchedMedia:
    """The record of resolve_media or list_media; `local` is set in a run on media.folder."""

    state: str
    name: str | None
    kind: str | None = None
    num_frames: int | None = None
    local: dict[str, object] | None = None


@dataclass(frozen=True, kw_only=True)
class WatchedFrames:
    """The number of a media's frames that went through the network."""

    used: int


@dataclass(frozen=True, kw_only=True)
class WatchedDetection:
    """The record of detect, for a media or for a part of a video."""

    state: str
    frames: WatchedFrames
    seconds: float


@dataclass(frozen=True, kw_only=True)
class WatchedUpload:
    """The record of upload_detections."""

    state: str


@dataclass(frozen=True, kw_only=True)
class WatchedTrackUpload:
    """The record of upload_tracks; `tracks`, their number in Tator, is set if they were verified."""

    state: str
    tracks: int = 0
