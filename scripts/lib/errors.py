"""The errors a user may see.

PipelineError
├── SettingsError     the configuration cannot be used
├── GraphError        the network's files cannot be used
├── DeviceError       the GPU, its driver or TensorRT does not do what the run needs
├── ServerError       Tator, or a store it names, does not do what the run needs
└── MediaFault        one media's own fault: recorded as that media's result, its neighbours go on

A message names the value found, what was expected, and the remedy. It never holds the token or a
presigned address.
"""

from typing import Literal

MediaState = Literal["done", "no detections", "damaged", "unreadable", "unsupported", "missing", "skipped"]


class PipelineError(Exception):
    """Stop a job with a message for the user; no traceback is shown."""


class SettingsError(PipelineError):
    """The configuration cannot be used; the message holds one line a problem."""


class GraphError(PipelineError):
    """The network's graph or train.ini cannot be used."""


class DeviceError(PipelineError):
    """The GPU, its driver or TensorRT is not there, or failed."""


class ServerError(PipelineError):
    """Tator, or a store it names, refused or failed for good."""


class MediaFault(PipelineError):
    """One media cannot be processed, through no fault of the machine or the network.

    Attributes:
        state: what the summary calls this media.
        reason: one sentence for the user.
    """

    def __init__(self, state: MediaState, reason: str) -> None:
        super().__init__(f"{state}: {reason}")
        self.state: MediaState = state
        self.reason = reason
