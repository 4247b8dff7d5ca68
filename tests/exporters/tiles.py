"""Compare detection in tiles with sahi's, with the same network and pictures.

    python -m tests.exporters.tiles FILE.npz [--page docs/tiles.md]

FILE is the file that sahi_oracle.py wrote. Both have the same rules for objects that no tile cuts, so every box that
does not touch a cut one must have a partner. The page's table is replaced.
"""

import argparse
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from scripts.lib.boxes import Size, iou_matrix
from scripts.lib.detection.network import NetworkFiles
from scripts.lib.detection.options import DetectOptions
from scripts.lib.files import read_json
from scripts.lib.preprocessing.tiles import Tiling
from scripts.lib.records.record_files import write_record
from tests.exporters.comparison import differences, found_in
from tests.exporters.pictures import VIDEO, large_pictures
from tests.made_records import provenance

SIZE, THRESHOLD = Size(640, 480), 0.3
TOLERANCE = (1.0, 0.01)
# A box this close to an edge of a tile counts as cut: a share of the tile's side, plus a pixel.
EDGE = 0.01
HEAD = (
    "| picture | tiles | boxes: here, sahi NMS, sahi GREEDYNMM | compared | largest difference: pixels, score |\n"
    "|---|---|---|---|---|\n"
)


def apart_from_cut(boxes: np.ndarray, every: np.ndarray, picture: Size) -> np.ndarray:
    """Return the boxes that do not touch a cut box of the same label.

    Args:
        boxes: (n, 6) x1, y1, x2, y2, score, label.
        every: (m, 6) the boxes of all tiles.
        picture: the picture's size.
    """
    cut = every[~are_whole(every, picture)]
    touch = iou_matrix(boxes[:, :4], cut[:, :4]) * (boxes[:, None, 5] == cut[None, :, 5]) > 0
    return boxes[~touch.any(axis=1) & are_whole(boxes, picture)]


def are_whole(boxes: np.ndarray, picture: Size) -> np.ndarray:
    """Return which boxes (n, 6) are not cut by, or close to, an edge of a tile within the picture, as a mask (n,)."""
    kept = np.ones(len(boxes), bool)
    for left, top, width, height in Tiling(SIZE).regions(picture):
        low, high = np.array([left, top]), np.array([left + width, top + height])
        margin = EDGE * np.array([width, height]) + 1
        outside = (boxes[:, :2] >= high + margin).any(axis=1) | (boxes[:, 2:4] <= low - margin).any(axis=1)
        before = (low == 0) | (boxes[:, :2] > low + margin)
        after = (high == picture) | (boxes[:, 2:4] < high - margin)
        kept &= outside | (before & after).all(axis=1)
    return kept


def main() -> int:
    """Compare; return 0 when all is within the tolerance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("oracle", type=Path)
    parser.add_argument("--page", type=Path)
    given = parser.parse_args()
    oracle, rows, within = np.load(given.oracle), "", True
    options = DetectOptions(
        img_max_side=SIZE.width, img_min_side=SIZE.height, keep_threshold=THRESHOLD, batch_size=4, frame_stride=1,
        frame_range=None, max_frames=None, engine="openvino", precision="f32", engines=Path("engines"), nms=None,
        pixels=None, first_label=None, threads=2, tiles="auto",
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        write_record(Path(folder, "provenance.json"), provenance())
        network = NetworkFiles(
            VIDEO.with_name("graph.pb"), VIDEO.with_name("train.ini"), Path(folder, "provenance.json"), []
        )
        for at, picture in enumerate(large_pictures()):
            size = Size(picture.shape[1], picture.shape[0])
            [found] = found_in([picture], network, options, Path(folder))
            tiles = read_json(Path(folder, "1-found.json"))["tiles"]
            same, others = (apart_from_cut(each, oracle[f"all_{at}"], size) for each in (found, oracle[f"nms_{at}"]))
            count, boxes, scores = differences(same, others, size, THRESHOLD)
            within = within and bool(count) and boxes <= TOLERANCE[0] and scores <= TOLERANCE[1]
            counts = ", ".join(str(len(each)) for each in (found, oracle[f"nms_{at}"], oracle[f"greedynmm_{at}"]))
            rows += (
                f"| {size.width} x {size.height} | {tiles['tiles']} and the whole | {counts} | {count} | "
                f"{boxes:.2g}, {scores:.1g} |\n"
            )
    print(HEAD + rows)
    if given.page:
        text = given.page.read_text(encoding="utf-8")
        given.page.write_text(re.sub(re.escape(HEAD) + r"(\|.*\n)*", lambda _: HEAD + rows, text), encoding="utf-8")
    return 0 if within else 1


if __name__ == "__main__":
    raise SystemExit(main())
