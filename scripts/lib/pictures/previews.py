"""Previews of one media, chosen during detection: pictures of the frames to check first, and a short clip.

The pictures are the network's input without its padding, and without boxes, which the report adds. album.py stores
them.
Memory is constant: a few frames of each kind, and those of two clips.
"""

import io
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from scripts.lib.boxes import THOUSANDTHS, Floats, Integers, Pixels, Size
from scripts.lib.frame_result import FrameResult
from scripts.lib.pictures.album import CLIP, POSTER, AlbumClip, AlbumPicture, picture_name, write_album
from scripts.lib.pictures.chosen_frames import KINDS, THRESHOLDS, ChosenFrames, KeptFrame, MostOf
from scripts.lib.pictures.colours import bgr

PICTURE_SIDE, CLIP_SIDE = 960, 480
JPEG_QUALITY = 75
CLIP_FRAMES, CLIP_RATE = 24, 8
# Pictures of at most this many bytes are copied when they may be in the clip, and shrunk only if they are, as shrinking
# takes eighteen times as long.
_COPIED_BYTES = 1_250_000
_USUAL_FPS = 25.0
_HALF_OF_LAST_DECIMAL = 5e-7
# Buffers of written pictures, reused for the next ones, as allocation takes longer than copying. Each has at most 3 MB;
# there is one for each picture that can wait to be written.
_SPARE = 6
_spare: list[Pixels] = []


@dataclass
class ClipFrame:
    """A frame of a clip.

    Attributes:
        frame: the frame's number.
        picture: (h, w, 3) BGR; a copy.
        media: the size that the boxes refer to.
        boxes: (n, 4) x, y, width, height in thousandths of a media pixel.
        labels: (n,) classes, from 0.
    """

    frame: int
    picture: Pixels
    media: Size
    boxes: Integers
    labels: Integers

    def shrink(self) -> None:
        """Shrink the picture to the size of the clip."""
        if shrunk_shape(self.picture, CLIP_SIDE) != self.picture.shape:
            self.picture = shrunk(self.picture, CLIP_SIDE)

    def boxes_in_pixels(self) -> Integers:
        """Return x, y, width and height of each box in pixels of the picture, (n, 4)."""
        height, width, _ = self.picture.shape
        scale = np.array([width / self.media.width, height / self.media.height] * 2) / THOUSANDTHS
        return np.rint(self.boxes * scale).astype(np.int64)


@dataclass
class BusiestStretch:
    """The stretch of a media with the most boxes, of every `step`-th frame."""

    step: int
    best: list[ClipFrame] = field(default_factory=list)
    _most: int = 0
    _seen: int = 0
    _window: deque[ClipFrame] = field(default_factory=deque)
    _boxes: int = 0  # of the window

    def due(self) -> bool:
        """Count a frame; return whether it can be in the clip."""
        self._seen += 1
        return (self._seen - 1) % self.step == 0

    def spare(self) -> Pixels | None:
        """Return the picture that the next one replaces, if it is not in the clip, to be overwritten."""
        if len(self._window) < CLIP_FRAMES:
            return None
        oldest = self._window[0]
        is_used = bool(self.best) and self.best[0].frame <= oldest.frame <= self.best[-1].frame
        return None if is_used else oldest.picture

    def add(self, still: ClipFrame) -> None:
        """Add the next frame of the clip."""
        if len(self._window) == CLIP_FRAMES:
            self._boxes -= len(self._window.popleft().boxes)
        self._window.append(still)
        self._boxes += len(still.boxes)
        if self._boxes > self._most or (self._boxes == self._most and len(self._window) > len(self.best)):
            self._most, self.best = self._boxes, list(self._window)
            for each in self.best:
                each.shrink()


class Previews:
    """Chooses the previews of one media; call `add_frames` with all frames, in any groups, then `write`."""

    def __init__(self, fps: float | None, stride: int = 1, *, clip: bool = True) -> None:
        """Prepare for one media.

        Args:
            fps: the video's frames per second; None if it is unknown.
            stride: the number n if `add_frames` is called with every n-th frame.
            clip: whether to make a clip; False for a picture, which has a single frame.
        """
        self._with_clip = clip
        self._levels = np.array((0.0, *(THRESHOLDS if clip else ())))
        self._most: Integers | None = None  # (levels, species) the most boxes in a frame so far
        self._rate = rate(fps, stride)
        self._chosen = ChosenFrames(self._rate, stride)
        self._stretch = BusiestStretch(max(1, round(self._rate / CLIP_RATE)))
        self._first: KeptFrame | None = None

    def add_frames(self, frames: Sequence[FrameResult]) -> None:
        """Consider frames and their boxes for the previews; pictures are copied if they are kept."""
        copy = cache(lambda at: self._copied(frames[at].picture))
        if self._first is None and frames:
            self._first = KeptFrame(0, frames[0].number, copy(0))
        if with_boxes := [at for at, each in enumerate(frames) if len(each.boxes)]:
            self._offer([frames[at] for at in with_boxes], [partial(copy, at) for at in with_boxes])
        for each in frames if self._with_clip else ():
            if self._stretch.due():
                picture = self._copied_for_clip(each.picture)
                self._stretch.add(ClipFrame(each.number, picture, each.media, each.boxes, each.labels))

    def _offer(self, frames: Sequence[FrameResult], copies: Sequence[Callable[[], Pixels]]) -> None:
        """Offer frames with boxes for each kind of picture; together they take half the time of one by one."""
        labels = np.concatenate([each.labels for each in frames])
        scores = np.concatenate([each.scores for each in frames])
        sizes = np.array([len(each.labels) for each in frames])
        own = scores[np.arange(len(labels)), labels]
        for kind, values in zip(KINDS, _values(labels, scores, own, sizes), strict=True):
            for at in np.flatnonzero(values > self._chosen.least(kind)).tolist():
                self._chosen.offer(kind, values[at].item(), frames[at].number, copies[at])
        counts = _counts(labels, own, sizes, self._levels, scores.shape[1])
        most = np.zeros_like(counts[0]) if self._most is None else self._most
        if (counts > most).any():
            for frame, copy, of_frame in zip(frames, copies, counts, strict=True):
                self._offer_counts(of_frame, most, frame.number, copy)
                most = np.maximum(most, of_frame)
        self._most = most

    def _offer_counts(self, counts: Integers, most: Integers, frame: int, copy: Callable[[], Pixels]) -> None:
        """Offer a frame's counts, (levels, species), that are above `most`, those of all frames before.

        FullestFrames would keep no frame for the others, as such counts were offered or exceeded before.
        """
        for level, label in np.argwhere(counts > most).tolist():
            kind = MostOf(label + 1, float(self._levels[level]))
            self._chosen.offer_count(kind, float(counts[level, label]), frame, copy)

    def _copied(self, picture: Pixels) -> Pixels:
        if not self._with_clip and _spare:
            spare = _spare.pop()  # dropped if it has another size
            if spare.shape == picture.shape == shrunk_shape(picture, PICTURE_SIDE):
                np.copyto(spare, picture)
                return spare
        return shrunk(picture, PICTURE_SIDE)

    def _copied_for_clip(self, picture: Pixels) -> Pixels:
        if picture.nbytes > _COPIED_BYTES:
            return shrunk(picture, CLIP_SIDE)
        spare = self._stretch.spare()
        if spare is None or spare.shape != picture.shape:
            return picture.copy()
        np.copyto(spare, picture)
        return spare

    def write(self, path: Path, *, synced: bool = True) -> None:
        """Write the file of pictures, also if there were no frames; call it once. See files.replacing for `synced`."""
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
    """Return the number of frames per second that are analysed."""
    return (fps or _USUAL_FPS) / stride


def _counts(labels: Integers, own: Floats, sizes: Integers, levels: npt.NDArray[np.float64], classes: int) -> Integers:
    """Return the number of boxes of each species at or above each level, (frames, levels, classes).

    Args:
        labels: (n,) the classes of the boxes of all frames, one frame after another.
        own: (n,) their scores in these classes.
        sizes: (F,) the number of boxes in each frame.
        levels: (L,) scores in ascending order, the first one 0.
        classes: the number of classes.
    """
    # A score reaches a level if it does so in the CSV, where it has six decimals. `reached` is the number of levels.
    reached = np.searchsorted(levels - _HALF_OF_LAST_DECIMAL, own, side="right")
    level = np.repeat(np.arange(1, len(sizes) + 1) * len(levels), sizes) - reached  # from the highest level down
    table = np.bincount(level * classes + labels, minlength=len(sizes) * len(levels) * classes)
    counts: Integers = table.reshape(len(sizes), -1, classes).cumsum(axis=1)[:, ::-1]
    return counts


def _values(
    labels: Integers, scores: Floats, own: Floats, sizes: Integers
) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Return how certain, numerous and doubtful the boxes of each frame are, (F,) each; see _counts for arguments."""
    others = scores.copy()
    others[np.arange(len(labels)), labels] = 0
    starts = np.cumsum(sizes) - sizes
    margins = np.add.reduceat(own - others.max(axis=1), starts) / sizes
    return np.maximum.reduceat(own, starts), sizes, -margins


def shrunk(picture: Pixels, side: int) -> Pixels:
    """Return a copy of a picture with sides of at most `side` pixels, both even, as videos require."""
    height, width, _ = shape = shrunk_shape(picture, side)
    if shape == picture.shape:
        return picture.copy()
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def shrunk_shape(picture: Pixels, side: int) -> tuple[int, int, int]:
    """Return the shape of the copy that `shrunk` makes."""
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
    """Return an H.264 video with the boxes drawn, which all browsers can play."""
    import av

    height, width = stills[0].picture.shape[:2]
    content = io.BytesIO()
    with av.open(content, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=Fraction(rate).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        # No mbtree: it reads memory that x264 never set, so that clips of equal frames would have different bytes.
        # No B frames: they take a third of the time, and save only 6 % of the bytes, at a lower quality.
        stream.options = {"preset": "superfast", "crf": "31", "x264-params": "mbtree=0:bframes=0"}
        stream.codec_context.thread_count = 1
        for still in stills:
            if still.picture.shape[:2] != (height, width):
                still.picture = np.asarray(cv2.resize(still.picture, (width, height)), np.uint8)
            for (x, y, w, h), label in zip(still.boxes_in_pixels().tolist(), still.labels.tolist(), strict=True):
                cv2.rectangle(still.picture, (x, y), (x + w, y + h), bgr(label), 2)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(still.picture, format="bgr24")))
        out.mux(stream.encode(None))
    return content.getvalue()
