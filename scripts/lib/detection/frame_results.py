"""Turn an engine's outputs into the boxes of each frame: select, map to the media, and merge those of tiles."""

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from scripts.lib import suppression
from scripts.lib.boxes import Floats, Integers, Pixels, on_media
from scripts.lib.detection.batch import Batch, Item, Piece
from scripts.lib.detection.candidates import Candidates
from scripts.lib.detection.media_task import MediaTask
from scripts.lib.detection.merging import PieceBoxes, merge
from scripts.lib.detection.stopwatch import Stopwatch
from scripts.lib.errors import GraphError
from scripts.lib.frame_result import FrameResult
from scripts.lib.preprocessing.fitting import Fitting

# The lowest and highest score, with rounding; and the largest coordinate of boxes from 0 to 1, which may exceed the
# picture. Boxes in pixels are never that small.
_LOWEST_SCORE, _HIGHEST_SCORE, _LARGEST_FRACTION = -0.001, 1.001, 1.5


class FrameResults:
    """Adds the boxes of each frame to the results of its task; used by one thread."""

    def __init__(self, fitting: Fitting, threshold: float, name: str, held: int = 1) -> None:
        """Store the options.

        Args:
            fitting: the conversion of frames to the network's input.
            threshold: the least score of a box.
            name: the name of the network in errors.
            held: the number of batches whose results are added together, see held_batches.
        """
        self.fitting, self.threshold, self._name, self._most_held = fitting, threshold, name, held
        self._held: list[tuple[Batch, Candidates]] = []
        self.watch = Stopwatch()
        self._pieces: dict[MediaTask, list[PieceBoxes]] = {}  # boxes in the pieces of each task's current frame

    @property
    def held(self) -> int:
        """Number of batches that are held."""
        return len(self._held)

    def add(self, batch: Batch, found: Candidates) -> list[Batch]:
        """Add the boxes of a batch's frames, or hold the batch; a task's frames are added in order.

        Args:
            batch: the frames.
            found: the candidates in the outputs for them.

        Returns:
            the batches that are not needed any more.

        Raises:
            GraphError: the outputs are not finite, or not in the expected range.
        """
        self._held.append((batch, found))
        return self.add_held() if len(self._held) >= self._most_held else []

    def add_held(self) -> list[Batch]:
        """Add the boxes of the batches that are held; return these batches.

        Raises:
            GraphError: the outputs are not finite, or not in the expected range.
        """
        batches = [batch for batch, _ in self._held]
        if batches:
            items = [item for batch in batches for item in batch.items]
            pictures = [picture for batch in batches for picture in batch.pixels[: batch.count]]
            self._add(items, pictures, Candidates.joined([found for _, found in self._held]))
            self._held = []
        return batches

    def _add(self, items: Sequence[Item], pictures: Sequence[Pixels], found: Candidates) -> None:
        lowest, highest = float(found.scores.min(initial=0)), float(found.scores.max(initial=0))  # NaN if any is NaN
        in_range = lowest >= _LOWEST_SCORE and highest <= _HIGHEST_SCORE
        if in_range and (lowest < 0 or highest > 1):
            found = found._replace(scores=found.scores.clip(0, 1))
        selected = suppression.select_frames(found.counts, found.boxes, found.scores, self.threshold, found.nms)
        boxes = np.concatenate([each.boxes for each in selected])
        largest = float(np.abs(boxes).max()) if len(boxes) else None
        if not (in_range and (largest is None or _LARGEST_FRACTION < largest < math.inf)):
            of_frames = np.split(found.scores, np.cumsum(found.counts)[:-1])
            for item, scores, each in zip(items, of_frames, selected, strict=True):
                self._check(item, scores, each.boxes)
        placed = self._on_media(items, selected, boxes)
        all_with_area = np.concatenate(placed)[:, 2:].min(initial=1) > 0
        self.watch.lap("boxes", [item.task for item in items])
        entries = zip(items, pictures, selected, placed, strict=True)
        for (task, restarts), of_task in groupby(entries, lambda entry: (entry[0].task, entry[0].restarts)):
            self.restart(task, restarts)
            results = [
                result for entry in of_task if (result := self._result(*entry, with_area=all_with_area)) is not None
            ]
            self.watch.lap("boxes", [task])
            if results:
                task.results.take(results)
                self.watch.lap("pictures", [task])

    def restart(self, task: MediaTask, restarts: int) -> None:
        """Discard the results of a media if its detection has restarted since."""
        if task.counters.restarts < restarts:
            task.results.restart()
            task.counters.restart()
            self.watch.lap("boxes", [task])

    def _check(self, item: Item, scores: Floats, boxes: Floats) -> None:
        """Refuse the outputs of a broken network or device, and those that are not in the expected range.

        Args:
            item: the frame.
            scores: (n, C) the scores of its candidates.
            boxes: (m, 4) its boxes, x1, y1, x2, y2.
        """
        lowest, highest = float(scores.min(initial=0)), float(scores.max(initial=0))
        largest = float(np.abs(boxes).max(initial=0))
        if math.isnan(highest):
            raise GraphError(f"the network's scores of frame {item.number} are not all numbers: its weights are broken")
        if not math.isfinite(largest):
            raise GraphError(f"the network's boxes of frame {item.number} are not all finite: its weights are broken")
        if highest > _HIGHEST_SCORE or lowest < _LOWEST_SCORE:
            score = highest if highest > _HIGHEST_SCORE else lowest
            raise GraphError(
                f"{self._name}: gives the score {score:.4g} in frame {item.number}; expected scores from 0 to 1: "
                "export it with its sigmoid or softmax, or set network.graph and network.directory (or data_image) to "
                "a network that has it"
            )
        has_area = (boxes[:, 0] != boxes[:, 2]) & (boxes[:, 1] != boxes[:, 3])
        if largest <= _LARGEST_FRACTION and has_area.any():
            raise GraphError(
                f"{self._name}: gives boxes from 0 to 1 in frame {item.number}, such as "
                f"{boxes[has_area][0].round(3).tolist()}; expected x1, y1, x2, y2 in pixels of its input, whose size "
                "detect.img_max_side and detect.img_min_side say: export it with its boxes multiplied by that size"
            )

    def _on_media(
        self, items: Sequence[Item], selected: Sequence[suppression.Selection], boxes: Floats
    ) -> list[Integers]:
        """Return the boxes of each frame or piece in the media's pixels.

        Args:
            items: the frames or pieces.
            selected: their boxes in network pixels.
            boxes: the same boxes in one array.
        """
        first = items[0]
        if any(item.piece or item.size != first.size or item.media != first.media for item in items):
            return [self._placed(item, each.boxes) for item, each in zip(items, selected, strict=True)]
        ends = np.cumsum([len(each.boxes) for each in selected])
        return np.split(self._placed(first, boxes), ends[:-1])  # all at once takes half the time

    def _placed(self, item: Item, boxes: Floats) -> Integers:
        piece = item.piece
        return on_media(
            boxes,
            network=self.fitting.network,
            frame=piece.frame if piece else item.size,
            media=item.media,
            mapping=self.fitting.mapping(item.size),
            region=piece.region if piece else None,
        )

    def _result(
        self, item: Item, picture: Pixels, selected: suppression.Selection, placed: Integers, *, with_area: bool
    ) -> FrameResult | None:
        """Count the boxes of a frame or a piece; return the frame's result, unless more of its pieces follow.

        Args:
            item: the frame or piece.
            picture: (H, W, 3) the network's input.
            selected: its boxes.
            placed: (n, 4) the boxes in the media's pixels; those without an area are not in the picture.
            with_area: whether all of them are known to have an area.
        """
        boxes, labels, scores = placed, selected.labels, selected.scores
        if not with_area:
            has_area = (placed[:, 2:] > 0).all(axis=1)
            boxes, labels, scores = boxes[has_area], labels[has_area], scores[has_area]
            item.task.counters.boxes_without_area += len(item.numbers) * int((~has_area).sum())
        if item.piece is None:
            picture = self.fitting.shown(picture, item.size)
        elif (merged := self._merged(item, item.piece, boxes, labels, scores)) is not None:
            picture, boxes, labels, scores = merged
        else:
            return None
        counters = item.task.counters
        counters.frames += 1
        counters.boxes += len(item.numbers) * len(boxes)
        return FrameResult(item.number, item.numbers, picture, item.media, boxes, labels, scores)

    def _merged(
        self, item: Item, piece: Piece, boxes: Integers, labels: Integers, scores: Floats
    ) -> tuple[Pixels, Integers, Integers, Floats] | None:
        """Store the boxes of a piece; after a frame's last piece, return its picture and its boxes, merged."""
        pieces = self._pieces.setdefault(item.task, [])
        if piece.begins:
            pieces.clear()
        pieces.append(PieceBoxes(piece.region, boxes, labels, scores))
        if piece.picture is None:
            return None
        del self._pieces[item.task]
        merged = merge(pieces, piece.frame, item.media)
        whole = sum(each.region is None for each in pieces)
        counted, count = item.task.counters.tiles, len(item.numbers)
        counted.frames += 1
        counted.tiles += len(pieces) - whole
        counted.whole += whole
        counted.joined += count * merged.joined
        counted.dropped += count * merged.dropped
        return piece.picture, merged.boxes, merged.labels, merged.scores
