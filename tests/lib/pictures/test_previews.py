"""Pictures that are chosen while a media is read: the right frames, distant in time, with little memory."""

import json
import os
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from scripts.lib.boxes import Size
from scripts.lib.counting import AnalysedFrames, count
from scripts.lib.detection import stopwatch
from scripts.lib.detections import Detection
from scripts.lib.errors import PipelineError
from scripts.lib.frame_result import FrameResult
from scripts.lib.frames.used_frames import UsedFrames
from scripts.lib.pictures import previews
from scripts.lib.pictures.album import CLIP, POSTER, Album, AlbumPicture
from scripts.lib.pictures.chosen_frames import (
    KINDS,
    PICTURES_PER_KIND,
    SPECIES_SHOWN,
    THRESHOLDS,
    BestFrames,
    ChosenFrames,
    FullestFrames,
    MostOf,
)
from scripts.lib.pictures.previews import CLIP_FRAMES, Previews
from scripts.lib.preprocessing.preprocess import fit, without_padding
from tests.media_files import number_in, painted
from tests.workflow import ROOT

SIZE = Size(160, 90)


def shown(path, frames, found, *, fps=10.0, size=SIZE, stride=1, clip=True):
    """Add frames; `found` returns the (class, score) of each box of a frame."""
    album = Previews(fps, stride, clip=clip)
    for frame in frames:
        boxes = found(frame)
        scores = np.zeros((len(boxes), 2), np.float32)
        for at, (label, score) in enumerate(boxes):
            scores[at, label] = score
        corners = np.array([[10_000, 20_000, 30_000, 40_000]] * len(boxes), np.int64).reshape(-1, 4)
        add_frame(
            album, frame, painted(frame, size), size, corners, np.array([label for label, _ in boxes], np.int64), scores
        )
    album.write(path)
    return Album.open(path)


def add_frame(album, frame, picture, media, *boxes):
    """Add a frame with its boxes, labels and scores."""
    album.add_frames([FrameResult(frame, (frame,), picture, media, *boxes)])


def kinds(album, kind):
    return [entry.frame for entry in album.pictures if kind in entry.kinds]


def test_frames_of_each_kind(tmp_path):
    scores = {7: 0.99, 23: 0.95, 42: 0.31, 55: 0.33}

    def found(frame):
        return [(0, scores.get(frame, 0.7))] + [(1, 0.7)] * (4 if frame in (30, 64) else 0)

    album = shown(tmp_path / "a.zip", range(80), found)
    assert kinds(album, "certain") == [7, 23]
    assert kinds(album, "crowded") == [30, 64]
    assert kinds(album, "doubtful") == [42, 55]
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        for entry in album.pictures:
            content = np.frombuffer(archive.read(f"{entry.frame:08d}.jpg"), np.uint8)
            assert number_in(cv2.imdecode(content, cv2.IMREAD_COLOR)) == entry.frame


def test_the_first_frame_with_the_most_boxes_of_each_species(tmp_path):
    """Also of a species that is never the most frequent one of a frame."""

    def found(frame):
        few = [(1, 0.7)] * {13: 2, 14: 2, 40: 1}.get(frame, 0)
        return [(0, 0.7)] * (9 if frame in (30, 31, 50) else 5) + few

    album = shown(tmp_path / "a.zip", range(80), found)
    assert kinds(album, "most of 1") == [30]
    assert kinds(album, "most of 2") == [13]
    values = {kind: value for entry in album.pictures for kind, value in entry.kinds.items() if kind.startswith("most")}
    thresholds = ("", *(f" at 0.{tenth}" for tenth in range(1, 8)))
    assert values == {f"most of {species}{at}": most for at in thresholds for species, most in ((1, 9), (2, 2))}


def test_the_first_frame_with_the_most_boxes_above_each_threshold(tmp_path):
    """The same frame as for MaxN of the counts, with scores as in the CSV."""
    rng = np.random.default_rng(3)
    boxes = [
        [(int(label), float(score)) for label, score in zip(rng.integers(0, 2, n), rng.random(n), strict=True)]
        for n in rng.integers(0, 9, 60)
    ]
    boxes[40] = [(0, 0.7)] * 12  # 0.7 has no float of four bytes: the nearest one is less
    album = shown(tmp_path / "a.zip", range(60), lambda frame: boxes[frame])
    whole = AnalysedFrames(UsedFrames(range(60)), None)
    rows = [
        Detection("1_a", frame, 10, 20, 30, 40, (round(score, 6),) * 2, label + 1)
        for frame in range(60)
        for label, score in boxes[frame]
    ]
    for threshold in (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        counted = count(rows, whole, threshold, 60).whole
        for species in (1, 2):
            kind = f"most of {species}" + (f" at {threshold}" if threshold else "")
            [entry] = [entry for entry in album.pictures if kind in entry.kinds]
            assert (entry.kinds[kind], entry.frame) == (counted[species].max_n, counted[species].max_n_frame)


def test_frames_of_many_species_are_the_same_in_any_parts():
    """Ties are decided by frame and species only, so that parts of a video choose the same frames as the whole."""
    rng = np.random.default_rng(7)
    for _ in range(200):
        counts = rng.integers(0, 4, (40, 9))
        whole, joined = FullestFrames(4), FullestFrames(4)
        kept = []
        for part in np.split(np.arange(40), sorted(rng.choice(np.arange(1, 40), 2, replace=False))):
            own = FullestFrames(4)
            for frame in part:
                for species in rng.permutation(9):
                    for frames in (own, whole) if counts[frame, species] else ():
                        frames.offer(int(species), int(counts[frame, species]), int(frame), lambda: None)
            kept += [(one.frame, species, one.value) for species, one in own.kept.items()]
        for frame, species, value in sorted(kept):
            joined.offer(species, value, frame, lambda: None)
        assert joined.kept == whole.kept
        ranked = sorted(range(9), key=lambda one: (-counts[:, one].max(), counts[:, one].argmax(), one))
        assert sorted(whole.kept) == sorted(one for one in ranked[:4] if counts[:, one].max())
        assert all(kept.frame == counts[:, species].argmax() for species, kept in whole.kept.items())


def test_a_small_margin_is_doubtful(tmp_path):
    album = Previews(10.0)
    for frame, row in enumerate(([0.5, 0.0], [0.9, 0.85])):
        where = np.array([[0, 0, 9000, 9000]], np.int64)
        add_frame(album, frame * 20, painted(frame), SIZE, where, np.array([0]), np.array([row], np.float32))
    album.write(tmp_path / "a.zip")
    assert kinds(Album.open(tmp_path / "a.zip"), "doubtful")[0] == 20


def test_pictures_are_a_second_apart_and_the_best_of_neighbours_is_kept():
    best = BestFrames(2, gap=10)
    for frame, value in enumerate([5, 6, 9, 8, 7, 1, 1, 1, 1, 1, 1, 2, 3, 2, 8.5]):
        best.offer(value, frame, lambda: np.zeros((2, 2, 3), np.uint8))
    assert [(kept.frame, kept.value) for kept in best.kept] == [(2, 9), (14, 8.5)]


def test_memory_is_bounded():
    album = Previews(25.0)
    rng = np.random.default_rng(0)
    for frame in range(2000):
        boxes = np.array([[0, 0, 5000, 5000]] * rng.integers(0, 5), np.int64).reshape(-1, 4)
        add_frame(album, frame, painted(frame % 256), SIZE, boxes, np.zeros(len(boxes), np.int64),
                   rng.random((len(boxes), 2), np.float32))  # fmt: skip
    kept = [kept for best in album._chosen._best.values() for kept in best.kept]
    assert len(kept) <= 3 * PICTURES_PER_KIND
    assert len(album._chosen.frames()) <= 3 * PICTURES_PER_KIND + SPECIES_SHOWN * (1 + len(THRESHOLDS))
    assert len(album._stretch.best) <= CLIP_FRAMES


def test_without_boxes_the_first_frame_is_kept(tmp_path):
    album = shown(tmp_path / "a.zip", range(30), lambda frame: [])
    assert album.pictures == [AlbumPicture(frame=0, kinds={"first": 0.0}, width=160, height=90)]
    assert album.clip is None


def test_nothing_was_read(tmp_path):
    album = shown(tmp_path / "a.zip", range(0), lambda frame: [])
    assert (album.pictures, album.clip) == ([], None)


@pytest.mark.parametrize(("clip", "thresholds"), [(False, 0), (True, 5)])
def test_a_picture_has_no_clip(tmp_path, clip, thresholds):
    album = shown(tmp_path / "a.zip", range(1), lambda frame: [(0, 0.5)], clip=clip)
    assert (len(album.pictures), album.clip) == (1, None)
    counted = {f"most of 1 at 0.{tenth + 1}" for tenth in range(thresholds)}
    assert set(album.pictures[0].kinds) == {"certain", "crowded", "doubtful", "most of 1", *counted}


def test_buffers_of_written_pictures_are_reused(tmp_path, monkeypatch):
    monkeypatch.setattr(previews, "_spare", [])
    size, boxes = Size(320, 240), (np.array([[10, 20, 30, 40]]), np.zeros(1, np.int64), np.ones((1, 1), np.float32))
    albums = [Previews(None, clip=False) for _ in range(4)]
    for frame in (0, 1):  # neither is written yet
        add_frame(albums[frame], frame, painted(frame, size), size, *boxes)
    albums[0].write(tmp_path / "0.zip")
    picture = painted(2, size)
    tracemalloc.start()
    add_frame(albums[2], 2, picture, size, *boxes)
    assert tracemalloc.get_traced_memory()[1] < picture.nbytes / 2
    tracemalloc.stop()
    add_frame(albums[3], 3, painted(3, Size(240, 320)), Size(240, 320), *boxes)
    for frame in (1, 2, 3):
        albums[frame].write(tmp_path / f"{frame}.zip")
    for frame in range(4):
        with zipfile.ZipFile(tmp_path / f"{frame}.zip") as archive:
            content = np.frombuffer(archive.read(f"{frame:08d}.jpg"), np.uint8)
        assert number_in(cv2.imdecode(content, cv2.IMREAD_COLOR)) == frame


def test_only_a_few_buffers_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(previews, "_spare", [])
    albums = [Previews(None, clip=False) for _ in range(2 * previews._SPARE)]
    for album in albums:
        add_frame(album, 0, painted(0, SIZE), SIZE, np.zeros((0, 4), np.int64), np.zeros(0, np.int64), np.zeros((0, 1)))
    for album in albums:
        album.write(tmp_path / "a.zip")
    assert len(previews._spare) == previews._SPARE


def test_the_clip_shows_where_most_boxes_are_and_draws_them(tmp_path):
    import av

    album = shown(tmp_path / "a.zip", range(120), lambda frame: [(0, 0.5)] * (3 if 60 <= frame < 90 else 1), fps=8.0)
    assert album.clip.frames == CLIP_FRAMES
    assert 60 <= album.clip.first <= album.clip.last < 90
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, av.open(archive.open("clip.mp4")) as video:
        pictures = [frame.to_ndarray(format="bgr24") for frame in video.decode(video=0)]
    assert len(pictures) == CLIP_FRAMES
    assert [number_in(picture) for picture in pictures] == list(range(album.clip.first, album.clip.last + 1))
    edge = pictures[0][40, 8:13].astype(int)  # the box's left side, in blue
    assert (edge[:, 0] - edge[:, 2]).max() > 80


@pytest.mark.parametrize("size", [Size(3000, 11), Size(11, 3000), Size(1921, 1081)])
def test_odd_sizes_and_strides(tmp_path, size):
    album = shown(tmp_path / "a.zip", range(0, 400, 100), lambda frame: [(0, 0.5)], fps=None, size=size, stride=100)
    assert album.clip.frames == 4
    for entry in album.pictures:
        assert max(entry.width, entry.height) <= 960


@pytest.mark.parametrize("frame", [Size(160, 90), Size(90, 160), Size(100, 1000), Size(640, 480)])
def test_padding_is_removed(frame):
    fitted = np.zeros((180, 320, 3), np.uint8)
    fit(np.full((frame.height, frame.width, 3), 200, np.uint8), fitted)
    view = without_padding(fitted, frame)
    assert view.mean() > 195
    assert fitted.sum() - view.sum() < 0.02 * fitted.sum() + 1


def test_a_stopwatch_shares_the_time_among_the_media_of_a_batch(monkeypatch):
    now = iter([0.0, 1.0, 3.0, 3.5])
    monkeypatch.setattr(stopwatch.time, "monotonic", lambda: next(now))
    watch = stopwatch.Stopwatch()
    one, other = (SimpleNamespace(counters=SimpleNamespace(stages={})) for _ in range(2))
    watch.lap("a", [one])
    watch.lap("b", [one, one, one, other])
    watch.lap("a", [one])
    assert one.counters.stages == {"a": 1.5, "b": 1.5}
    assert other.counters.stages == {"b": 0.5}


def test_an_index_of_an_earlier_version_has_kinds_without_values(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        picture = {"frame": 3, "kinds": ["certain", "crowded"], "width": 160, "height": 90}
        archive.writestr(
            "index.json", json.dumps({"pictures": [picture], "clip": {"first": 3, "last": 9, "frames": 7}})
        )
    assert Album.open(tmp_path / "a.zip").pictures == [
        AlbumPicture(frame=3, kinds={"certain": 0.0, "crowded": 0.0}, width=160, height=90)
    ]


def test_an_album_of_another_run_that_unpacks_to_gigabytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("scripts.lib.files.LARGEST_MEMBER", 1000)
    path = tmp_path / "previews.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("index.json", " " * 1001)
    with pytest.raises(PipelineError, match=r"index\.json has 1001 bytes; expected at most 1000"):
        Album.open(path)
    content = path.read_bytes().replace((1001).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(content)  # the size in the header is too small
    with pytest.raises(PipelineError, match=r"index\.json cannot be read"):
        Album.open(path)


WRITE_CLIP = """
import hashlib
import numpy as np
from scripts.lib.pictures import previews
from scripts.lib.boxes import Size

picture = np.random.default_rng(1).integers(0, 256, (23, 40, 3), np.uint8).repeat(8, 0).repeat(8, 1)[:180]
pictures = [np.roll(picture, 3 * at, 1).copy() for at in range(30)]
boxes = [np.array([[at, 20, 50, 40]]) * 1000 for at in range(30)]
media, labels = Size(320, 180), np.array([1])
stills = [previews.ClipFrame(at, pictures[at], media, boxes[at], labels) for at in range(30)]
print(hashlib.sha256(previews._clip(stills, 25.0)).hexdigest())
"""


def test_clips_of_equal_frames_have_the_same_bytes():
    """The encoder once read memory that it had not set, which may contain anything."""
    sums = {
        subprocess.run(
            [sys.executable, "-c", WRITE_CLIP], cwd=ROOT, env={**os.environ, "MALLOC_PERTURB_": filling},
            capture_output=True, text=True, check=True,
        ).stdout
        for filling in ("0", "85", "170")
    }  # fmt: skip
    assert len(sums) == 1


@pytest.mark.parametrize("levels", [(0.0,), (0.0, *THRESHOLDS)], ids=["all", "of thresholds"])
def test_boxes_are_counted_at_each_threshold(levels: tuple[float, ...]) -> None:
    frames = [random_boxes(seed) for seed in range(50)]
    expected = [
        [[sum(own[labels == species].astype(np.float64).round(6) >= level) for species in range(5)] for level in levels]
        for labels, _, own in frames
    ]
    labels, own = (np.concatenate([frame[at] for frame in frames]) for at in (0, 2))
    sizes = np.array([len(frame[0]) for frame in frames])
    assert previews._counts(labels, own, sizes, np.array(levels), 5).tolist() == expected


def test_values_of_frames() -> None:
    frames = [random_boxes(seed) for seed in range(50)]
    labels, scores, own = (np.concatenate(arrays) for arrays in zip(*frames, strict=True))
    found = previews._values(labels, scores, own, np.array([len(frame[0]) for frame in frames]))
    for (of_frame, all_scores, best), certain, crowded, doubtful in zip(frames, *found, strict=True):
        margins = [
            row[label] - max(score for at, score in enumerate(row) if at != label)
            for row, label in zip(all_scores.tolist(), of_frame.tolist(), strict=True)
        ]
        assert (certain, crowded) == (best.max(), len(of_frame))
        assert doubtful == pytest.approx(-sum(margins) / len(margins), abs=1e-6)


@pytest.mark.parametrize("group", [1, 4, 300])
def test_frames_are_chosen_as_if_every_count_of_every_frame_were_offered(group: int) -> None:
    frames = []
    expected = ChosenFrames(10.0, 1)
    for number in range(300):
        labels, scores, own = random_boxes(number, classes=12)
        boxes = np.ones((len(labels), 4), np.int64)
        frames.append(FrameResult(number, (number,), painted(number % 256, SIZE), SIZE, boxes, labels, scores))
        for value, kind in zip(previews._values(labels, scores, own, np.array([len(labels)])), KINDS, strict=True):
            expected.offer(kind, value[0], number, lambda: None)
        for level in (0.0, *THRESHOLDS):
            for species in range(12):
                count = sum(own[labels == species].astype(np.float64).round(6) >= level)
                if count:
                    expected.offer_count(MostOf(species + 1, level), float(count), number, lambda: None)
    album = Previews(10.0)
    for first in range(0, len(frames), group):
        album.add_frames(frames[first : first + group])
    found = {frame: kinds for frame, (_, kinds) in album._chosen.frames().items()}
    assert found == {frame: kinds for frame, (_, kinds) in expected.frames().items()}
    assert len(found) > SPECIES_SHOWN


def random_boxes(seed: int, classes: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, scores of all classes, and scores of the labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, int(rng.integers(1, 60)))
    scores = rng.uniform(0, 1, (len(labels), classes)).astype(np.float32)
    # Some scores are exactly at a threshold, as in the CSV, or differ by the last digit.
    scores[::3] = rng.choice([*THRESHOLDS, 0.1999999, 0.3000004, 0.0, 1.0], (len(labels[::3]), classes))
    return labels, scores, scores[np.arange(len(labels)), labels]


def test_pictures_of_any_size_give_the_same_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {}
    for copied in (10**9, 0):
        monkeypatch.setattr(previews, "_COPIED_BYTES", copied)
        album = shown(
            tmp_path / f"{copied}.zip", range(60), lambda frame: [(0, 0.7)] * (frame % 7), size=Size(640, 360)
        )
        files[copied] = {name: album.read(name) for name in (CLIP, POSTER)}
    assert files[10**9] == files[0]
