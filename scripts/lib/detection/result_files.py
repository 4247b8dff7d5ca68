"""The files of a media's boxes and previews, written while its frames are processed."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import IO

from scripts.lib.detections import DetectionWriter, video_id
from scripts.lib.files import replacing, write_bytes
from scripts.lib.frame_result import FrameResult
from scripts.lib.frames.threads import SuspectedDamage
from scripts.lib.pictures.previews import Previews
from scripts.lib.records import MediaRecord


@dataclass(frozen=True)
class DetectionOutputs:
    """The output files of a media.

    Attributes:
        detections: CSV of the media's boxes.
        outcome: the record of how they were found.
        previews: file of some of the media's pictures, see scripts/lib/pictures/album.py.
    """

    detections: Path
    outcome: Path
    previews: Path


class ResultFiles:
    """Writes boxes to a CSV, and some of the frames to a file of pictures."""

    def __init__(self, outputs: DetectionOutputs, wanted: MediaRecord, stride: int, *, synced: bool = True) -> None:
        """Store the arguments; nothing is written yet.

        Args:
            outputs: the files to write.
            wanted: the record of resolve_media.
            stride: distance between two frames that are processed.
            synced: whether to flush each file to its disk before it is renamed, see files.replacing.
        """
        self._outputs, self._wanted, self._stride, self._synced = outputs, wanted, stride, synced
        self._album = self._new_album()
        self._files = ExitStack()
        self._rows: DetectionWriter | None = None

    def _new_album(self) -> Previews:
        return Previews(self._wanted.fps, self._stride, clip=self._wanted.kind != "image")

    def take(self, found: Sequence[FrameResult]) -> None:
        """Write the boxes of frames, and offer their pictures to the album."""
        rows = self._rows or self._open_rows()
        rows.write(found)
        self._album.add_frames(found)

    def _open_rows(self) -> DetectionWriter:
        opened = _buffered if self._wanted.kind == "image" else replacing
        stream = self._files.enter_context(opened(self._outputs.detections, synced=self._synced))
        self._rows = DetectionWriter(stream, video_id(self._wanted.media_id, self._wanted.name or ""))
        return self._rows

    def restart(self) -> None:
        """Discard the boxes and pictures."""
        self.abandon(SuspectedDamage("detection in the media starts again"))
        self._files, self._rows = ExitStack(), None
        self._album = self._new_album()

    def finish(self) -> None:
        """Close the CSV, and write the pictures."""
        if self._rows is None:
            self._open_rows()
        self._files.close()
        self._album.write(self._outputs.previews, synced=self._synced)

    def abandon(self, error: BaseException) -> None:
        """Remove the unfinished CSV."""
        self._files.__exit__(type(error), error, error.__traceback__)


@contextmanager
def _buffered(path: Path, *, synced: bool) -> Iterator[IO[str]]:
    """Buffer a text, and write it if the block succeeds: so only the writer's thread opens files for pictures."""
    text = StringIO()
    yield text
    write_bytes(path, text.getvalue().encode(), synced=synced)
