"""Take the frames with which the network is quantized, and its drift measured, from media."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.lib.boxes import Pixels, Size
from scripts.lib.errors import MediaFault
from scripts.lib.frames.reader import open_frames
from scripts.lib.frames.source import wanted_frames
from scripts.lib.graphs.description import Resize
from scripts.lib.preprocessing.fitting import Fitting
from scripts.lib.preprocessing.tiles import Tiling
from scripts.lib.records import DownloadRecord, MediaRecord

_log = logging.getLogger(__name__)

# Number of frames of a media, from the first on, among which frames are chosen.
READ_AT_MOST = 3000


@dataclass(frozen=True)
class CalibrationMedia:
    """A media to take frames from.

    Attributes:
        path: the file.
        record: the record of resolve_media.
        download: the record of download_media.
    """

    path: Path
    record: MediaRecord
    download: DownloadRecord


def take_frames(
    sources: Sequence[CalibrationMedia], store: Pixels, resize: Resize, tiling: Tiling | None = None
) -> dict[str, int]:
    """Fill an array with frames, fitted to the network, in equal numbers from each media.

    Args:
        sources: the media.
        store: the array (n, height, width, 3), which is filled from its beginning.
        resize: how a frame is resized to the network's input.
        tiling: how detection cuts large frames; None if it does not.

    Returns:
        The number of frames by media id. A media is not checked for damage after its last frame.
    """
    used: dict[str, int] = {}
    fitting = Fitting(resize, Size(store.shape[2], store.shape[1]))
    for left, source in zip(range(len(sources), 0, -1), sources, strict=True):
        name, start = str(source.record.media_id), sum(used.values())
        share = -(-(len(store) - start) // left)
        used[name] = 0
        first = source.record if source.record.state != "ready" else source.download
        if first.state != "ready":
            _log.info("media %s: %s, skipped", name, first.state)
            continue
        try:
            for picture in _spread(source, share):
                most = share if source.record.file_kind == "image" else 1
                for part in _parts(picture, tiling, most, start + used[name]):
                    fitting.fit(part, store[start + used[name]])
                    used[name] += 1
        except MediaFault as fault:
            _log.info("media %s: %s; %d frames of it are used", name, fault, used[name])
    return used


def _spread(source: CalibrationMedia, count: int) -> Iterator[Pixels]:
    """Yield up to `count` frames, evenly spread over the part of a media that is read."""
    if not count:
        return
    kind = source.record.file_kind
    with open_frames(source.path, kind) as frames:
        length = min(frames.summary.expected or READ_AT_MOST, READ_AT_MOST)
    with open_frames(source.path, kind, wanted_frames(max(1, length // count), None, count)) as frames:
        for _, picture in frames:
            yield picture


def _parts(picture: Pixels, tiling: Tiling | None, count: int, first: int) -> list[Pixels]:
    """Return the frame, or up to `count` of its tiles, evenly spread from `first` on."""
    frame = Size(picture.shape[1], picture.shape[0])
    if tiling is None or not tiling.cuts(frame):
        return [picture]
    regions = tiling.regions(frame)
    count = min(count, len(regions))
    chosen = [regions[(first + number * len(regions) // count) % len(regions)] for number in range(count)]
    return [tile.part_of(picture) for tile in chosen]
