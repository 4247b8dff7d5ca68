"""Turn an engine's outputs into the boxes of each frame: select, map to the media, and merge those of tiles."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scripts.lib import suppression
from scripts.lib.boxes import Floats, Pixels, on_media
from scripts.lib.detection.batch import Item, Piece
from scripts.lib.detection.media_task import FrameResult, MediaTask
from scripts.lib.detection.merging import PieceBoxes, merge
from scripts.lib.detection.stopwatch import Stopwatch
from scripts.lib.engines.base import Outputs
from scripts.lib.errors import GraphError
from scripts.lib.fitting import Fitting
from scripts.lib.suppression import Nms

# The highest score, with rounding; and the largest coordinate of boxes from 0 to 1, which may exceed the picture. Boxes
# in pixels are never that small.
_HIGHEST_SCORE, _LARGEST_FRACTION = 1.001, 1.5


class Candidates(NamedTuple):
    """The anchors of a batch with a score that is at least the threshold, or not a number, in any class.

    Attributes:
        counts: the number of these anchors in each frame.
        boxes: (n, 4) x1, y1, x2, y2 in network pixels, frame after frame.
        scores: (n, C).
        nms: the network's settings for suppression.
    """

    counts: list[int]
    boxes: Floats
    scores: Floats
    nms: Nms

    @classmethod
    def of(cls, outputs: Outputs, threshold: float, nms: Nms) -> "Candidates":
        """Return the candidates in a batch's outputs."""
        frames, anchors, classes = outputs.scores.shape
        scores = outputs.scores.reshape(-1, classes)
        found = suppression.rows_reached(scores, threshold)
        counts = np.bincount(found // anchors, minlength=frames).tolist()
        return cls(counts, outputs.boxes.reshape(-1, 4)[found], scores[found], nms)


class FrameResults:
    """Adds the boxes of each frame to the results of its task; used by one thread."""

    def __init__(self, fitting: Fitting, threshold: float, name: str) -> None:
        """Store the options.

        Args:
            fitting: the conversion of frames to the network's input.
            threshold: the least score of a box.
            name: the name of the network in errors.
        """
        self.fitting, self.threshold, self._name = fitting, threshold, name
        self.watch = Stopwatch()
        self._pieces: dict[MediaTask, list[PieceBoxes]] = {}  # boxes in the pieces of each task's current frame

    def add(self, items: Sequence[Item], pixels: Pixels, found: Candidates) -> None:
        """Add the boxes of a batch's frames; a task's frames are added in order.

        Args:
            items: the frames.
            pixels: (N, H, W, 3) the network's input.
            found: the candidates in the outputs for them.

        Raises:
            GraphError: the outputs are not finite, or not in the expected range.
        """
        start = 0
        for item, picture, count in zip(items, pixels, found.counts, strict=False):
            boxes, scores = found.boxes[start : start + count], found.scores[start : start + count]
            start += count
            self.restart(item.task, item.restarts)
            placed, without_area = self._on_media(item, self._select(item, boxes, scores, found.nms))
            item.task.counters.boxes_without_area += len(item.numbers) * without_area
            if item.piece is None:
                self._add_frame(item, self.fitting.shown(picture, item.size), placed)
            else:
                self._add_piece(item, item.piece, placed)

    def restart(self, task: MediaTask, restarts: int) -> None:
        """Discard the results of a media if its detection has restarted since."""
        if task.counters.restarts < restarts:
            task.results.restart()
            task.counters.restart()
            self.watch.lap("boxes", [task])

    def _select(self, item: Item, boxes: Floats, scores: Floats, nms: Nms) -> suppression.Selection:
        """Return a frame's boxes; refuse the outputs of a broken network or device."""
        highest = float(scores.max(initial=0))  # NaN if any score is NaN
        if math.isnan(highest):
            raise GraphError(f"the network's scores of frame {item.number} are not all numbers: its weights are broken")
        found = suppression.select(boxes, scores, self.threshold, nms)
        largest = float(np.abs(found.boxes).max(initial=0))
        if not math.isfinite(largest):
            raise GraphError(f"the network's boxes of frame {item.number} are not all finite: its weights are broken")
        if highest > _HIGHEST_SCORE:
            raise GraphError(
                f"{self._name}: gives the score {highest:.4g} in frame {item.number}; expected scores from 0 to 1: "
                "export it with its sigmoid or softmax, or set network.graph and network.directory (or data_image) to "
                "a network that has it"
            )
        if largest <= _LARGEST_FRACTION:
            self._refuse_fractions(found.boxes, item.number)
        return found

    def _refuse_fractions(self, boxes: Floats, number: int) -> None:
        has_area = (boxes[:, 0] != boxes[:, 2]) & (boxes[:, 1] != boxes[:, 3])
        if has_area.any():
            raise GraphError(
                f"{self._name}: gives boxes from 0 to 1 in frame {number}, such as "
                f"{boxes[has_area][0].round(3).tolist()}; expected x1, y1, x2, y2 in pixels of its input, whose size "
                "detect.img_max_side and detect.img_min_side say: export it with its boxes multiplied by that size"
            )

    def _on_media(self, item: Item, selection: suppression.Selection) -> tuple[PieceBoxes, int]:
        """Return boxes in the media's pixels, and how many are left out because no part of them is in the picture."""
        piece = item.piece
        region = piece.region if piece else None
        boxes = on_media(
            selection.boxes,
            network=self.fitting.network,
            frame=piece.frame if piece else item.size,
            media=item.media,
            mapping=self.fitting.mapping(item.size),
            region=region,
        )
        if boxes[:, 2:].min(initial=1) > 0:
            return PieceBoxes(region, boxes, selection.labels, selection.scores), 0
        has_area = (boxes[:, 2:] > 0).all(axis=1)
        found = PieceBoxes(region, boxes[has_area], selection.labels[has_area], selection.scores[has_area])
        return found, int((~has_area).sum())

    def _add_piece(self, item: Item, piece: Piece, found: PieceBoxes) -> None:
        """Store the boxes of a piece of a frame; after the last piece, merge those of the whole frame."""
        counted, count = item.task.counters.tiles, len(item.numbers)
        pieces = self._pieces.setdefault(item.task, [])
        if piece.begins:
            pieces.clear()
        pieces.append(found)
        if piece.picture is None:
            self.watch.lap("boxes", [item.task])
            return
        del self._pieces[item.task]
        merged = merge(pieces, piece.frame, item.media)
        whole = sum(each.region is None for each in pieces)
        counted.frames += 1
        counted.tiles += len(pieces) - whole
        counted.whole += whole
        counted.joined += count * merged.joined
        counted.dropped += count * merged.dropped
        self._add_frame(item, piece.picture, PieceBoxes(None, merged.boxes, merged.labels, merged.scores))

    def _add_frame(self, item: Item, picture: Pixels, found: PieceBoxes) -> None:
        task, counters = item.task, item.task.counters
        counters.frames += 1
        counters.boxes += len(item.numbers) * len(found.boxes)
        self.watch.lap("boxes", [task])
        boxes = found.boxes, found.labels, found.scores
        task.results.take(FrameResult(item.number, item.numbers, picture, item.media, *boxes))
        self.watch.lap("pictures", [task])
