"""Pictures of one media to look at, chosen while it is detected in: the frames to look at first, and a short clip.

They are what the network saw, less its padding, without boxes: whoever shows them has the boxes. A file of them is a
zip with `index.json`, a JPEG for each frame, and where the media has one `clip.mp4`, with its first frame in
`clip.jpg`. Memory stays small and flat: a few frames of each kind, and those of two clips.
"""

import base64
import io
import json
import zipfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any
from zipfile import ZipInfo  # without a time, so that the same pictures give the same file

import cv2
import numpy as np

from scripts.lib import json_text
from scripts.lib.boxes import THOUSANDTHS, Floats, Integers, Pixels, Size
from scripts.lib.chosen_frames import KINDS, THRESHOLDS, ChosenFrames, KeptFrame, MostOf
from scripts.lib.colours import bgr
from scripts.lib.files import read_member, write_bytes
from scripts.lib.record_files import as_content, from_content

PICTURE_SIDE, CLIP_SIDE = 960, 480
JPEG_QUALITY = 75
CLIP_FRAMES, CLIP_RATE = 24, 8
CLIP, POSTER = "clip.mp4", "clip.jpg"
_USUAL_FPS = 25.0
# Copies of pictures that are written down, for the next ones: new memory takes longer than copying. At most 3 MB each;
# as many as wait to be written.
_SPARE = 6
_spare: list[Pixels] = []


@dataclass(frozen=True, kw_only=True)
class AlbumPicture:
    """A picture of a file of pictures.

    Attributes:
        frame: its number.
        kinds: what it was chosen for, with its value for that.
        width: pixels.
        height: pixels.
    """

    frame: int
    kinds: dict[str, float]
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class AlbumClip:
    """The clip of a file of pictures: its first and last frame, how many frames it has, and their boxes."""

    first: int
    last: int
    frames: int
    boxes: int = 0  # not in files of an earlier version


@dataclass
class ClipFrame:
    """A frame of a clip: its number, picture, boxes (n, 4) as x, y, w, h in its pixels, labels (n,)."""

    frame: int
    picture: Pixels
    boxes: Integers
    labels: Integers


@dataclass
class BusiestStretch:
    """The stretch of a media with the most boxes, of frames a step apart."""

    step: int
    best: list[ClipFrame] = field(default_factory=list)
    _most: int = 0
    _seen: int = 0
    _window: deque[ClipFrame] = field(default_factory=lambda: deque(maxlen=CLIP_FRAMES))

    def due(self) -> bool:
        """Count a frame; say whether it belongs into the clip."""
        self._seen += 1
        return (self._seen - 1) % self.step == 0

    def add(self, still: ClipFrame) -> None:
        """Take the next frame."""
        self._window.append(still)
        boxes = sum(len(each.boxes) for each in self._window)
        if boxes > self._most or (boxes == self._most and len(self._window) > len(self.best)):
            self._most, self.best = boxes, list(self._window)


class Previews:
    """Chooses the pictures of one media; show it every frame, then write the file."""

    def __init__(self, fps: float | None, stride: int = 1, *, clip: bool = True) -> None:
        """Begin a media.

        Args:
            fps: the video's frames a second, None where that is unknown.
            stride: every n-th frame is shown.
            clip: whether there is to be one; none of a picture, which has one frame to choose from.
        """
        self._with_clip = clip
        self._rate = rate(fps, stride)
        self._chosen = ChosenFrames(self._rate, stride)
        self._stretch = BusiestStretch(max(1, round(self._rate / CLIP_RATE)))
        self._first: KeptFrame | None = None

    def look(  # noqa: PLR0917  (the pipeline calls it for each frame)
        self, frame: int, picture: Pixels, media: Size, boxes: Integers, labels: Integers, scores: Floats
    ) -> None:
        """Look at a frame and what was found in it.

        Args:
            frame: its number.
            picture: (h, w, 3) BGR; copied where it is kept.
            media: the size that the boxes refer to.
            boxes: (n, 4) x, y, width, height in thousandths of a media pixel.
            labels: (n,) classes, from 0.
            scores: (n, C).
        """
        copies: list[Pixels] = []

        def copy() -> Pixels:
            if not copies:
                copies.append(self._copied(picture))
            return copies[0]

        if self._first is None:
            self._first = KeptFrame(0, frame, copy())
        if len(boxes):
            for kind, value in zip(KINDS, _values(labels, scores), strict=True):
                self._chosen.offer(kind, value, frame, copy)
            for most, count in _counts(labels, scores, THRESHOLDS if self._with_clip else ()):
                self._chosen.offer_count(most, float(count), frame, copy)
        if self._with_clip and self._stretch.due():
            small = shrunk(picture, CLIP_SIDE)
            scale = np.array([small.shape[1] / media.width, small.shape[0] / media.height] * 2) / THOUSANDTHS
            self._stretch.add(ClipFrame(frame, small, np.rint(boxes * scale).astype(np.int64), labels))

    def _copied(self, picture: Pixels) -> Pixels:
        if not self._with_clip and _spare:
            spare = _spare.pop()  # of another size it is given up
            if spare.shape == picture.shape == shrunk_shape(picture, PICTURE_SIDE):
                np.copyto(spare, picture)
                return spare
        return shrunk(picture, PICTURE_SIDE)

    def write(self, path: Path, *, synced: bool = True) -> None:
        """Write the file, once; also where nothing was shown. `synced` as of files.replacing."""
        chosen = self._chosen.frames()
        if not chosen and self._first is not None:
            chosen[self._first.frame] = (self._first.picture, {"first": 0.0})
        stills = self._stretch.best if len(self._stretch.best) > 1 else []
        stills = stills if any(len(still.boxes) for still in stills) else []
        files = {picture_name(frame): jpeg(picture) for frame, (picture, _) in chosen.items()}
        clip: AlbumClip | None = None
        if stills:
            boxes = sum(len(still.boxes) for still in stills)
            clip = AlbumClip(first=stills[0].frame, last=stills[-1].frame, frames=len(stills), boxes=boxes)
            files |= {CLIP: _clip(stills, self._rate / self._stretch.step), POSTER: jpeg(stills[0].picture)}
        pictures = [
            AlbumPicture(frame=frame, kinds=kinds, width=picture.shape[1], height=picture.shape[0])
            for frame, (picture, kinds) in chosen.items()
        ]
        write_album(path, pictures, clip, files, synced=synced)
        if not self._with_clip and len(_spare) < _SPARE:
            _spare.extend(picture for picture, _ in chosen.values())


def rate(fps: float | None, stride: int) -> float:
    """Return how many frames a second are looked at."""
    return (fps or _USUAL_FPS) / stride


def write_album(
    path: Path,
    pictures: list[AlbumPicture],
    clip: AlbumClip | None,
    files: Mapping[str, bytes],
    *,
    synced: bool = True,
) -> None:
    """Write a file of pictures; see Album."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(ZipInfo("index.json"), json.dumps(as_content({"pictures": pictures, "clip": clip}), indent=2))
        for name, picture in files.items():
            archive.writestr(ZipInfo(name), picture)
    write_bytes(path, content.getvalue(), synced=synced)


def _counts(labels: Integers, scores: Floats, thresholds: Sequence[float]) -> Iterator[tuple[MostOf, int]]:
    """Yield how many boxes of each species a frame has, at first all of them, then those of each threshold or more."""
    own = scores[np.arange(len(labels)), labels].astype(np.float64).round(6)  # as the CSV has them, whose rows count
    levels = (0.0, *thresholds)
    reached = np.searchsorted(levels, own, side="right")  # how many of them, as they rise
    classes = int(labels.max()) + 1
    table = np.bincount(reached * classes + labels, minlength=(len(levels) + 1) * classes).reshape(-1, classes)
    boxes = table[::-1].cumsum(axis=0)[-2::-1]  # of a level or more
    rows, columns = boxes.nonzero()
    for level, label, count in zip(rows.tolist(), columns.tolist(), boxes[rows, columns].tolist(), strict=True):
        yield MostOf(label + 1, levels[level]), count


def _values(labels: Integers, scores: Floats) -> tuple[float, int, float]:
    """Return how certain, how crowded and how doubtful a frame's boxes are; there is one at least."""
    own = scores[np.arange(len(labels)), labels]
    others = scores.copy()
    others[np.arange(len(labels)), labels] = 0
    return float(own.max()), len(labels), -float((own - others.max(axis=1)).mean())


def shrunk(picture: Pixels, side: int) -> Pixels:
    """Return a copy of which no side is longer, and each is even, as video needs it."""
    height, width, _ = shape = shrunk_shape(picture, side)
    if shape == picture.shape:
        return picture.copy()
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def shrunk_shape(picture: Pixels, side: int) -> tuple[int, int, int]:
    """Return what shape it has then."""
    scale = min(1.0, side / max(picture.shape[:2]))
    height, width = (max(2, round(length * scale / 2) * 2) for length in picture.shape[:2])
    return height, width, 3


def jpeg(picture: Pixels) -> bytes:
    """Return a (h, w, 3) BGR picture as a JPEG file."""
    done, content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise ValueError(f"a picture of the shape {picture.shape} cannot be written as JPEG")
    return content.tobytes()


def _clip(stills: Sequence[ClipFrame], rate: float) -> bytes:
    """Return an H.264 video with the boxes drawn, which every browser shows."""
    import av

    height, width = stills[0].picture.shape[:2]
    content = io.BytesIO()
    with av.open(content, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        # Without mbtree: that reads memory which x264 never set, so that equal frames gave clips which differ in bytes.
        # Without B frames, which take a third of the time, and save 6 % of the bytes at a lower quality.
        stream.options = {"preset": "veryfast", "crf": "30", "x264-params": "mbtree=0:bframes=0"}
        stream.codec_context.thread_count = 1
        for still in stills:
            if still.picture.shape[:2] != (height, width):
                still.picture = np.asarray(cv2.resize(still.picture, (width, height)), np.uint8)
            for (x, y, w, h), label in zip(still.boxes.tolist(), still.labels.tolist(), strict=True):
                cv2.rectangle(still.picture, (x, y), (x + w, y + h), bgr(label), 2)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(still.picture, format="bgr24")))
        out.mux(stream.encode(None))
    return content.getvalue()


def picture_name(frame: int) -> str:
    """Return what a frame's picture is called within a zip file."""
    return f"{frame:08d}.jpg"


@dataclass(frozen=True)
class Album:
    """The pictures of one media, read back.

    Attributes:
        path: the file.
        pictures: what it holds.
        clip: the clip, None without one.
    """

    path: Path
    pictures: list[AlbumPicture]
    clip: AlbumClip | None

    @classmethod
    def open(cls, path: Path) -> "Album":
        """Read what there is; the pictures themselves are read when asked for."""
        with zipfile.ZipFile(path) as archive:
            index = json_text.parse(read_member(archive, "index.json"))
        clip = index["clip"]
        return cls(
            path,
            [_listed_picture(entry) for entry in index["pictures"]],
            None if clip is None else from_content(AlbumClip, clip),
        )

    def picture(self, frame: int) -> str:
        """Return a frame's JPEG as a `data:` address."""
        return data_address(self.read(picture_name(frame)), "image/jpeg")

    def video(self) -> str:
        """Return the clip as a `data:` address."""
        return data_address(self.read(CLIP), "video/mp4")

    def poster(self) -> str:
        """Return the clip's first frame as a `data:` address."""
        return data_address(self.read(POSTER), "image/jpeg")

    def read(self, name: str) -> bytes:
        """Return one of its files."""
        with zipfile.ZipFile(self.path) as archive:
            return read_member(archive, name)


def _listed_picture(entry: Mapping[str, Any]) -> AlbumPicture:
    """Return a picture of an index; that of an earlier version names the kinds without their values."""
    kinds = entry["kinds"]
    kinds = kinds if isinstance(kinds, dict) else dict.fromkeys(kinds, 0.0)
    return from_content(AlbumPicture, {**entry, "kinds": kinds})


def data_address(content: bytes, kind: str) -> str:
    """Return bytes of a media type as a `data:` address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
