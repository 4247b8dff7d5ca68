"""The states of a media in its records, and the states that count as a result."""

from typing import Literal

from scripts.lib.errors import MediaState

# The state before detection: `ready`, or the final state of a media that is not processed.
ReadyState = MediaState | Literal["ready"]
UploadState = MediaState | Literal["verified", "not uploaded"]
# States of a media whose file was read to its end without damage.
WITH_RESULT: tuple[MediaState, ...] = ("done", "no detections")


def uploaded_states(on_damaged: str) -> tuple[MediaState, ...]:
    """Return the states of a media whose boxes are uploaded; `on_damaged` is the setting of that name."""
    return (*WITH_RESULT, "damaged") if on_damaged == "accept" else WITH_RESULT


def good_states(on_damaged: str) -> tuple[MediaState, ...]:
    """Return the states of a media that did not fail: those that are uploaded, and `skipped`."""
    return (*uploaded_states(on_damaged), "skipped")
