"""The records that the steps of a run pass on, each a typed model; record_files.py writes and reads them.

docs/records.schema.yaml describes them for users; scripts/lib/records/records_schema.py generates it from the models.
A key's type is annotated with a `Key` if the schema has more than the type.

The records that jobs of single media need are imported from this package. The records of the network, of tracks, of the
summary and of the evaluation are imported from their modules, so that a change of them makes no detection run again.
"""

from scripts.lib.records.detection import DetectionRecord, FrameCounts, FrameError, Numbering, RequestedFrames, Seams
from scripts.lib.records.keys import Kind, Role
from scripts.lib.records.media import DownloadRecord, LocalFile, MediaRecord, StoredFile
from scripts.lib.records.states import WITH_RESULT, ReadyState, UploadState, good_states, uploaded_states
from scripts.lib.records.upload import (
    DestinationRecord,
    MarksRecord,
    People,
    TracksDestination,
    TrackUploadRecord,
    UploadRecord,
)

__all__ = [
    "WITH_RESULT",
    "DestinationRecord",
    "DetectionRecord",
    "DownloadRecord",
    "FrameCounts",
    "FrameError",
    "Kind",
    "LocalFile",
    "MarksRecord",
    "MediaRecord",
    "Numbering",
    "People",
    "ReadyState",
    "RequestedFrames",
    "Role",
    "Seams",
    "StoredFile",
    "TrackUploadRecord",
    "TracksDestination",
    "UploadRecord",
    "UploadState",
    "good_states",
    "uploaded_states",
]
