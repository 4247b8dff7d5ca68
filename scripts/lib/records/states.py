"""The states of a media in its records, and which of them count as a result."""

from typing import Literal

from scripts.lib.errors import MediaState

# Before detection a media is `ready`, or has the state that it ends in.
ReadyState = MediaState | Literal["ready"]
UploadState = MediaState | Literal["verified", "not uploaded"]
# States of a media whose file was read to its end, sound.
WITH_RESULT: tuple[MediaState, ...] = ("done", "no detections")


def uploaded_states(on_damaged: str) -> tuple[MediaState, ...]:
    """Return the states of a media whose boxes are uploaded; `on_damaged` is the setting of that name."""
    return (*WITH_RESULT, "damaged") if on_damaged == "accept" else WITH_RESULT


def good_states(on_damaged: str) -> tuple[MediaState, ...]:
    """Return the states of a media that ended as it should: those that are uploaded, and what was skipped."""
    return (*uploaded_states(on_damaged), "skipped")
