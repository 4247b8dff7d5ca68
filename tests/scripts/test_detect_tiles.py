"""Detection in tiles: small objects in large pictures and in videos, also of media that share a job."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from examples.accuracy import LabeledBox, ap50, read_truth
from scripts.detect import detect
from scripts.lib.boxes import Size
from scripts.lib.detection import network, task_reader
from scripts.lib.detection.network import NetworkFiles
from scripts.lib.detection.options import DetectOptions
from scripts.lib.detections import Detection
from scripts.lib.engines.base import Engine, Outputs
from scripts.lib.graphs.description import Resize
from scripts.lib.suppression import Nms
from tests.media_files import cut
from tests.scripts.test_detect import SPECIES, SYNTHETIC, Step, run, write_pictures

__all__ = ["run"]
pytestmark = pytest.mark.networks

VIDEO = SYNTHETIC / "clip_910004.mp4"  # animals in every frame
# The network was trained on such frames at half their size.
SIZED = {"width": 640, "height": 360}


def frames_of(path: Path, numbers: list[int]) -> list[np.ndarray]:
    """Return some frames of a video, (360, 640, 3)."""
    video = cv2.VideoCapture(str(path))
    found = [video.read()[1] for _ in range(max(numbers) + 1)]
    return [found[number] for number in numbers]


def survey(places: list[tuple[int, int]], size: Size = Size(3200, 1800)) -> tuple[np.ndarray, list[LabeledBox]]:  # noqa: B008
    """Return a large picture with a frame of the sample at each place, and the true boxes in it."""
    numbers = [5 * at for at in range(len(places))]
    picture = np.full((size.height, size.width, 3), frames_of(VIDEO, [0])[0].mean(axis=(0, 1)), np.uint8)
    truth = []
    for (left, top), frame, number in zip(places, frames_of(VIDEO, numbers), numbers, strict=True):
        picture[top : top + 360, left : left + 640] = frame
        for box in read_truth(SYNTHETIC / "clip_910004.csv", 5, [number]):
            x, y, w, h = box.xywh
            truth.append(LabeledBox((5, 0), (x + left, y + top, w, h), box.species))
    return picture, truth


def labelled(rows: list[Detection]) -> list[LabeledBox]:
    return [
        LabeledBox((5, row.frame), (row.x, row.y, row.w, row.h), SPECIES[row.species - 1], row.score) for row in rows
    ]


PLACES = [(40, 70), (1900, 333), (1111, 1400), (2500, 1300)]


def test_small_objects_in_a_large_picture_are_found_with_tiles_only(run: Step, tmp_path: Path) -> None:
    picture, truth = survey(PLACES)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    found = {}
    for tiles in (None, SIZED):
        run(tmp_path / "a.png", kind="image", tiles=tiles, keep_threshold=0.05)
        found[tiles is not None] = ap50(truth, labelled(run.rows()))
    assert found[False] < 0.1
    assert found[True] > 0.8


def test_the_record_has_the_sizes_and_numbers_of_tiles(run: Step, tmp_path: Path) -> None:
    picture, _ = survey(PLACES)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    outcome = run(tmp_path / "a.png", kind="image", tiles=SIZED)
    tiles = outcome["tiles"]
    assert {key: tiles[key] for key in ("width", "height", "overlap", "frames", "tiles", "whole")} == {
        "width": 640, "height": 360, "overlap": 0.2, "frames": 1, "tiles": 6 * 6, "whole": 1,
    }  # fmt: skip
    assert tiles["dropped"] > 0
    assert outcome["frames"]["used"] == 1
    assert outcome["boxes"] == len(run.rows())
    outcome = run(tmp_path / "a.png", kind="image", tiles={"whole": False, "overlap": 0.0})
    assert {key: outcome["tiles"][key] for key in ("width", "height", "overlap", "tiles", "whole")} == {
        "width": 320, "height": 180, "overlap": 0.0, "tiles": 100, "whole": 0,
    }  # fmt: skip
    assert "tiles" not in run(tmp_path / "a.png", kind="image")


@pytest.mark.parametrize("tiles", [{"width": 640, "height": 360}, {"width": 700, "height": 16384}])
def test_frames_no_larger_than_a_tile_have_the_same_results_as_without_tiles(run: Step, tiles: dict) -> None:
    files = (run.detections, run.previews)
    run(VIDEO)
    before = [path.read_bytes() for path in files]
    outcome = run(VIDEO, tiles=tiles)
    assert [path.read_bytes() for path in files] == before
    assert outcome["tiles"]["frames"] == outcome["tiles"]["tiles"] == 0


def test_results_do_not_depend_on_threads_and_batch_size(run: Step) -> None:
    found = {}
    for batch_size, threads in ((8, 1), (1, 4), (7, 2), (64, 3)):
        outcome = run(VIDEO, tiles="auto", batch_size=batch_size, threads=threads, max_frames=12)
        found[run.detections.read_bytes()] = outcome["boxes"]
        assert outcome["tiles"]["frames"] == outcome["frames"]["used"] == 12
        assert outcome["tiles"]["tiles"] == 9 * 12
    assert len(found) == 1
    assert min(found.values()) > 12


def test_tiles_with_a_stride_and_a_range_of_frames(run: Step) -> None:
    run(VIDEO, tiles="auto")
    all_rows = [(row.frame, row.x, row.y) for row in run.rows()]
    outcome = run(VIDEO, tiles="auto", frame_stride=7, frame_range=[3, 40])
    wanted = range(3, 41, 7)
    assert [(row.frame, row.x, row.y) for row in run.rows()] == [row for row in all_rows if row[0] in wanted]
    assert outcome["tiles"]["frames"] == len(wanted)


class Corners(Engine):
    """An engine that finds one box around all bright pixels of its input."""

    depth, classes, nms, description, size = 2, 3, Nms(0.4, 300), {}, Size(160, 90)
    settings: ClassVar = {"img_max_side": 160, "img_min_side": 90}

    def __init__(self, batch_size: int = 4) -> None:
        self.batch_size, self.started, self.seen = batch_size, [], 0

    def start(self, batch: np.ndarray) -> None:
        assert len(self.started) < self.depth
        self.started.append(batch)

    def finish(self) -> Outputs:
        batch = self.started.pop(0)
        self.seen += len(batch)
        boxes, scores = np.zeros((len(batch), 1, 4), np.float32), np.zeros((len(batch), 1, 3), np.float32)
        for at, picture in enumerate(batch):
            rows, columns = (np.flatnonzero((picture[..., 0] > 200).any(axis=axis)) for axis in (1, 0))
            if len(rows):
                boxes[at, 0] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
                scores[at, 0, 1] = 0.9
        return Outputs(boxes, scores)

    def close(self) -> None:
        pass


def painted(size: Size, box: tuple[int, int, int, int]) -> np.ndarray:
    """Return a black picture with a white box: left, top, right, bottom."""
    picture = np.zeros((size.height, size.width, 3), np.uint8)
    picture[box[1] : box[3], box[0] : box[2]] = 255
    return picture


@pytest.mark.parametrize("kind", ["pad", "letterbox", "stretch"])
@pytest.mark.parametrize(
    "scene",
    [
        (Size(1000, 600), (500, 300, 520, 310), 0),  # within a tile
        (Size(1000, 600), (150, 80, 180, 100), 0),  # across the edges of four
        (Size(1000, 600), (100, 100, 900, 120), 1),  # longer than a tile
        (Size(1000, 600), (100, 40, 900, 560), 1),  # fills several tiles
        (Size(1000, 60), (400, 10, 700, 50), 1),  # lower than a tile
        (Size(161, 91), (20, 20, 161, 91), 0),  # one pixel more than a tile
        (Size(1000, 600), (0, 0, 30, 20), 0),  # at the picture's corners
        (Size(1000, 600), (970, 580, 1000, 600), 0),
    ],
)
def test_an_object_has_one_box_at_its_place(
    run: Step, monkeypatch: pytest.MonkeyPatch, kind: Any, scene: tuple[Size, tuple, int]
) -> None:
    size, box, joined = scene
    monkeypatch.setattr(network, "open_engine", lambda *_, **__: Corners())
    monkeypatch.setattr(network.Network, "resize", Resize(kind))
    cv2.imwrite(str(run.folder / "a.png"), painted(size, box))
    outcome = run(run.folder / "a.png", kind="image", tiles={"whole": False}, batch_size=4, **Corners.settings)
    found = [(row.x, row.y, row.x + row.w, row.y + row.h) for row in run.rows()]
    assert len(found) == 1
    assert np.abs(np.array(found[0]) - box).max() <= (1 if kind == "stretch" and size.height == 60 else 1e-3)
    assert outcome["tiles"]["joined"] == joined


def test_an_object_that_fills_the_picture_is_found_in_the_whole_picture(
    run: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "open_engine", lambda *_, **__: Corners())
    cv2.imwrite(str(tmp_path / "a.png"), painted(Size(1600, 900), (200, 200, 1400, 700)))
    outcome = run(tmp_path / "a.png", kind="image", tiles={"overlap": 0}, batch_size=4, **Corners.settings)
    assert [(row.x, row.y, row.w, row.h) for row in run.rows()] == [(200, 200, 1200, 500)]
    assert (outcome["tiles"]["joined"], outcome["tiles"]["whole"]) == (0, 1)


def test_a_long_strip_is_detected_in_tiles_only(
    run: Step, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(network, "open_engine", lambda *_, **__: Corners())
    cv2.imwrite(str(tmp_path / "a.png"), painted(Size(20000, 60), (15000, 20, 15020, 40)))
    outcome = run(tmp_path / "a.png", kind="image", tiles="auto", batch_size=4, **Corners.settings)
    assert [(row.x, row.y, row.w, row.h) for row in run.rows()] == [(15000, 20, 20, 20)]
    assert outcome["tiles"]["whole"] == 0
    assert "20000 x 60 pixels is too elongated" in caplog.text
    outcome = run(tmp_path / "a.png", kind="image", batch_size=4, **Corners.settings)
    assert outcome["state"] == "unsupported"


def test_a_truncated_video_has_the_boxes_before_its_end(run: Step, tmp_path: Path) -> None:
    media = tmp_path / "a.mkv"
    write_pictures(media, frames_of(VIDEO, list(range(30))))
    cut(media, 0.6)
    outcomes, found = [], []
    for threads in (1, 4):
        outcomes.append(run(media, tiles="auto", threads=threads))
        found.append(run.detections.read_bytes())
    assert found[0] == found[1]
    assert outcomes[0]["tiles"] == outcomes[1]["tiles"]
    assert outcomes[0]["tiles"]["frames"] == outcomes[0]["frames"]["used"] > 0


def test_a_video_that_is_restarted_keeps_no_earlier_results(run: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it stops between two tiles of a frame."""
    from scripts.lib.detection.cutting import Cutter
    from scripts.lib.frames.threads import SuspectedDamage

    run(VIDEO, tiles="auto", max_frames=20)
    expected = run.detections.read_bytes()
    original, cut_pieces = Cutter.pieces, []

    def pieces(self: Cutter, picture: np.ndarray) -> Any:
        for piece in original(self, picture):
            cut_pieces.append(piece)
            if len(cut_pieces) == 53:
                raise SuspectedDamage("for a test")
            yield piece

    monkeypatch.setattr(Cutter, "pieces", pieces)
    outcome = run(VIDEO, tiles="auto", max_frames=20)
    assert len(cut_pieces) > 20 * 10
    assert run.detections.read_bytes() == expected
    assert outcome["tiles"]["frames"] == 20
    # The frames differ the second time: the earlier results are dropped.
    cut_pieces.clear()
    digests = iter(range(10**9))
    monkeypatch.setattr(task_reader, "digest_of", lambda *_: next(digests))
    outcome = run(VIDEO, tiles="auto", max_frames=20)
    assert len(cut_pieces) > 20 * 10 + 50
    assert run.detections.read_bytes() == expected
    assert outcome["tiles"]["frames"] == 20


def test_previews_show_the_whole_picture(run: Step, tmp_path: Path) -> None:
    picture, _ = survey(PLACES)
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    for whole in (True, False):
        run(tmp_path / "a.png", kind="image", tiles=SIZED | {"whole": whole})
        with zipfile.ZipFile(run.previews) as album:
            entry = json.loads(album.read("index.json"))["pictures"][0]
            shown = cv2.imdecode(np.frombuffer(album.read(f"{entry['frame']:08d}.jpg"), np.uint8), cv2.IMREAD_COLOR)
        assert (entry["width"], entry["height"]) == (960, 540)
        assert np.abs(cv2.resize(picture, (960, 540)).astype(int) - shown).mean() < 6


def test_progress_counts_frames_and_not_tiles(
    run: Step, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("scripts.lib.progress.SECONDS", 0)
    with caplog.at_level("INFO"):
        run(VIDEO, tiles="auto", batch_size=8)
    counts = [int(found) for found in re.findall(r"(\d+) of 60 frames", caplog.text)]
    assert counts[0] in (1, 2)
    assert counts == sorted(counts)
    assert counts[-1] == 60
    assert "days" not in caplog.text


def test_media_that_share_batches_have_the_same_boxes_as_alone(run: Step) -> None:
    """Pictures that are cut, one that is not, and one that cannot be read, in batches that none of them fills."""
    large, _ = survey(PLACES)
    pictures = {"a": large[:1000, :1500], "b": large[333:693, 1900:2540], "d": large[1200:, 2000:]}
    media = [run.folder / f"{name}.png" for name in "abcd"]
    alone = {}
    for path in media:
        if path.stem in pictures:
            cv2.imwrite(str(path), pictures[path.stem])
        else:
            path.write_bytes(b"no picture")
        outcome = run(path, kind="image", tiles=SIZED, batch_size=5)
        alone[path.stem] = (run.detections.read_bytes(), outcome["tiles"] if path.stem in pictures else None)
    assert len({content for content, _ in alone.values()}) == 4
    ready = {"state": "ready", "reason": None}
    for number, path in enumerate(media, 5):
        known = ready | {"media_id": number, "name": path.name, "kind": "image", "width": 1, "height": 1}
        path.with_suffix(".record").write_text(json.dumps(known))
        path.with_suffix(".download").write_text(json.dumps(ready | {"media_id": number}))
    options = DetectOptions(
        threads=3, img_max_side=320, img_min_side=180, keep_threshold=0.3, batch_size=5, engine="openvino",
        precision="f32", engines=run.folder, frame_stride=1, frame_range=None, max_frames=None, nms=None, pixels=None,
        first_label=None, tiles=SIZED,
    )  # fmt: skip
    files = {kind: [path.with_suffix(f".{kind}") for path in media] for kind in ("csv", "json", "zip")}
    detect(
        records=[path.with_suffix(".record") for path in media],
        network_files=NetworkFiles(
            SYNTHETIC / "graph.pb", SYNTHETIC / "train.ini", run.folder / "provenance.json", []
        ),
        detections=files["csv"], outcomes=files["json"], previews=files["zip"], options=options, media=media,
        downloads=[path.with_suffix(".download") for path in media],
    )  # fmt: skip
    for number, path in enumerate(media, 5):
        content, tiles = alone[path.stem]
        assert path.with_suffix(".csv").read_bytes().replace(b"%d_" % number, b"5_") == content
        assert json.loads(path.with_suffix(".json").read_text()).get("tiles") == tiles
