"""The report in a browser: its content, and that it is correct for any run and any names."""

import re
import zipfile

import cv2
import numpy as np
import pytest

from scripts.lib.errors import PipelineError
from scripts.lib.files import read_json, write_json
from scripts.lib.pictures.album import Album
from scripts.lib.records.tracks import Track
from scripts.lib.tracking.chosen_tracks import ChosenTrack, TrackPicture, write_pictures
from tests.browser import open_page
from tests.made_records import track_upload_record
from tests.report_run import FakeRun

pytestmark = pytest.mark.pages

HOSTILE = [
    "<script>document.title='x'</script><img src=x onerror=alert(1)>.mp4",
    "x" * 3000 + ".mp4",
    "\u202efdp.4pm\u2066 שלום عالم $x_1$ \\frac{1}{2}",
    "two\nlines\x1b[31m\x00.mp4",
    "日本" * 100,
    "{{ 7 * 7 }} {% raw %} &amp; \"quotes\" 'ticks' `back`",
]


@pytest.fixture
def run(tmp_path):
    return FakeRun(tmp_path)


@pytest.mark.browser
def test_a_good_run(run):
    run.add("reef.mp4", boxes=lambda frame: [(0, 0.9)] * (1 + frame % 3) + [(1, 0.35)] * (frame > 40))
    run.add("still.png", frames=1, kind="image")
    run.add("empty.mp4", state="no detections", boxes=lambda frame: [])
    view = open_page(run.page())
    assert view.without_errors, view
    for text in ("3 media are done", "2 done, 1 no detections", "cod", "What to check first", "reef.mp4, frame",
                  "Its first frame: no box was found", "16.8 frames a second", "openvino 1 CPU f32"):  # fmt: skip
        assert text in view.text, text
    assert view.videos == [True]
    assert "https://tator.example.org/11/annotation/1?version=43" in view.links
    assert any(re.fullmatch(r"https://tator.example.org/11/annotation/1\?frame=4[1-9]&version=43", link)
               for link in view.links)  # fmt: skip
    assert view.pdf.startswith(b"%PDF")


@pytest.mark.browser
def test_counts_link_to_their_frames(run):
    run.add("reef.mp4", boxes=lambda frame: [(0, 0.9)] * (1 + (frame == 30)) + [(1, 0.8)] * (frame > 40))
    run.add("still.png", frames=1, kind="image")
    view = open_page(run.page())
    assert view.without_errors, view
    for text in ("How many there are", "MaxN by interval", "Boxes that score 0.3 or more count"):
        assert text in view.text, text
    most, first = (f"https://tator.example.org/11/annotation/1?frame={frame}&version=43" for frame in (30, 41))
    assert {most, first} <= set(view.links)
    assert "https://tator.example.org/11/annotation/2?frame=0&version=43" in view.links


@pytest.mark.browser
def test_tracks_are_bars_that_link_to_their_boxes_of_highest_score(run):
    run.add("reef.mp4")
    run.add("rock.mp4")
    track = {"species": 1, "first_frame": 0, "last_frame": 30, "interpolated": 0}
    run.tracks = {
        1: [
            {**track, "track": at, "confidence": 0.9 - 0.1 * at, "best_frame": 2 * at, "boxes": 9 + at} for at in (1, 2)
        ],
        2: [],
    }
    pictures = run.folder / "tracks.zip"
    with zipfile.ZipFile(pictures, "w") as archive:
        jpeg = cv2.imencode(".jpg", np.full((60, 80, 3), 90, np.uint8))[1].tobytes()
        track_2 = ChosenTrack(kind="longest", media_id=1, track=Track(**run.tracks[1][1]))
        shown = TrackPicture(chosen=track_2, file="a.jpg", width=80, height=60, box=(0.2, 0.2, 0.5, 0.5))
        write_pictures(archive, [(shown, jpeg)])
    view = open_page(run.page(track_pictures=[pictures]))
    assert view.without_errors, view
    for text in (
        "The longest",
        "; 11 boxes in 31 frames",
        "2 tracks over time; each leads",
        "longest: track 2, cod 0.70, 11 boxes",
        "surest: track 1, cod 0.80",
    ):
        assert text in view.text, text
    links = {f"https://tator.example.org/11/annotation/1?frame={frame}&version=43" for frame in (2, 4)}
    assert links <= set(view.links)


@pytest.mark.browser
def test_failed_media_are_first_with_their_reasons(run):
    for at in range(3):
        run.add(f"good_{at}.mp4", frames=2)
    run.add("bad.mp4", state="damaged", reason="7 decoding errors, the first at frame 3", frames=20)
    run.add(None, state="missing", reason="project 11 has no media 5; it was deleted or never existed", frames=0)
    view = open_page(run.page())
    assert view.without_errors, view
    assert "2 of 5 media have no boxes in Tator from this run" in view.text
    assert view.text.index("7 decoding errors") < view.text.index("frames decoded")
    names = re.findall(r"^(\w+)\.mp4\n+Media \d", view.text, re.MULTILINE)
    assert names == ["bad", "good_0", "good_1", "good_2"]
    assert "project 11 has no media 5" in view.text


def test_frames_with_boxes_and_all_frames_are_counted_by_their_numbers(run):
    """In a video of variable rate a picture has several numbers."""
    run.add("vfr.mp4", frames=30)
    path = run.folder / "results/detections/1.json"
    outcome = read_json(path)
    outcome["frames"] |= {"decoded": 20, "used": 20}
    write_json(path, outcome)
    assert "30 boxes in 30 of 30 frames" in run.page().read_text()


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.read_text()))


def thresholds_of(page):
    """Return the texts next to the thresholds in the charts of scores."""
    return set(re.findall(r">((?:keep|upload)[^<]{0,20})</text>", page.read_text()))


def test_thresholds_of_an_upload(run):
    run.add("reef.mp4")
    page = run.page(upload_threshold=0.0)  # the default: all boxes that are kept
    assert thresholds_of(page) == {"keep, upload 0.3"}
    assert "boxes below it are not kept and not uploaded (0.3). " in text_of(page)
    page = run.page(upload_threshold=0.5)
    assert thresholds_of(page) == {"keep 0.3", "upload 0.5"}
    assert "boxes below it are not kept (0.3). Dashed: boxes below it are not uploaded (0.5)." in text_of(page)


IN_FOLDER = {"host": None, "project_id": None, "settings": {"media": {"folder": "/data/x"}}}


def test_a_run_on_a_folder_says_nothing_of_tator(run):
    run.destination = None
    run.add("reef.mp4")
    frames = {"first_frame": 0, "last_frame": 3, "best_frame": 2}
    run.tracks = {1: [{"track": 1, "species": 1, "confidence": 0.9, "boxes": 4, "interpolated": 0, **frames}], 2: []}
    run.add("still.png", frames=1, kind="image")
    page = run.page(**IN_FOLDER, upload_threshold=0.0)
    assert thresholds_of(page) == {"keep 0.3"}
    assert "Tator" not in text_of(page)
    assert "upload" not in text_of(page)
    assert "leads to" not in text_of(page)


def test_a_run_on_a_folder_that_uploads(run):
    run.add("reef.mp4")
    run.add("cut.mp4", state="damaged", reason="cut", frames=3)
    path = run.folder / "results/uploads/1.json"
    content = read_json(path)
    content["people"]["edited"] = ["a", "b"]
    write_json(path, content | {"tator_id": 77})
    text = text_of(run.page(**IN_FOLDER, upload_threshold=0.5))
    for part in ("Media of the folder /data/x ; boxes uploaded to the version Object Detector and verified in Tator",
                 "1 damaged. The others are done and marked.", "Why 1 reef.mp4 done 50 50 50 2 edited",
                 "boxes below it are not uploaded (0.5)"):  # fmt: skip
        assert part in text, part
    assert "leads to" not in text


def test_if_all_media_failed_there_are_no_others(run):
    for name in ("a.mp4", "b.mp4"):
        run.add(name, state="missing", reason="gone", frames=0)
    text = text_of(run.page())
    assert "2 of 2 media have no boxes in Tator from this run 2 missing. Media" in text


def test_files_in_another_order_than_the_summary_are_refused(run, monkeypatch):
    for name in ("a.mp4", "b.mp4"):
        run.add(name)
    run.page()
    in_reverse = {name: files[::-1] for name, files in run.every.items()}
    monkeypatch.setattr(FakeRun, "every", in_reverse)
    monkeypatch.setattr(run, "finish", lambda: None)
    run.media_ids.reverse()
    with pytest.raises(PipelineError, match=r"media 1 is where .*/2\.json has media 2; .* --forcerun summarize"):
        run.page()


@pytest.mark.browser
def test_a_run_without_any_readable_media(run):
    run.add(None, state="missing", reason="it is gone", frames=0)
    view = open_page(run.page())
    assert view.without_errors, view
    assert "1 of 1 media has no boxes" in view.text
    assert "No frame went through the network." in view.text


@pytest.mark.browser
def test_names_cannot_break_the_page(run):
    run.species = [re.sub(r"[,\n\0\x1b]", "", name) for name in HOSTILE]
    run.destination["version"] = HOSTILE[0]
    for at, name in enumerate(HOSTILE):
        run.add(name, frames=3, boxes=lambda frame, at=at: [(at, 0.5), ((at + 1) % 6, 0.6)], reason=name)
    page = run.page(settings={"name": HOSTILE[0]})
    view = open_page(page)
    assert view.without_errors, view
    html = page.read_text()
    assert "<script" not in html
    assert "<img" not in html
    assert "{{ 7 * 7 }}" in view.text
    assert not re.search(r'\b49\b.*"quotes"', view.text)


@pytest.mark.browser
def test_many_media_do_not_make_a_huge_page(run):
    for at in range(30):
        run.add(f"clip_{at}.mp4", frames=2, boxes=lambda frame, at=at: [(0, 0.31 + at / 50)])
    view = open_page(run.page(media_in_detail=3))
    assert "3 of 30 media with pictures, those to check first" in view.text
    assert re.findall(r"^(clip_\d+)\.mp4\n+Media \d", view.text, re.MULTILINE) == ["clip_0", "clip_1", "clip_2"]
    assert len((run.folder / "results/overview.html").read_bytes()) < 1_000_000


def test_the_page_is_the_same_for_the_same_run(run):
    run.add("a.mp4", frames=30)
    assert run.page().read_bytes() == run.page().read_bytes()


def test_marks_on_the_timeline_link_to_their_frames(run):
    run.add("a.mp4", frames=50, boxes=lambda frame: [(0, 0.9 if frame == 20 else 0.4)])
    chart = re.search(r'<svg[^>]*class="chart">(?:(?!</svg>).)*boxes a frame.*?</svg>', run.page().read_text(), re.S)[0]
    assert "https://tator.example.org/11/annotation/1?frame=20&amp;version=43" in chart


def test_edits_of_people_are_on_the_page(run):
    run.add("a.mp4", frames=2)
    upload = run.folder / "results/uploads/1.json"
    write_json(
        upload, read_json(upload) | {"people": {"edited": ["x", "y"], "added": [], "deleted": ["z"], "withheld": []}}
    )
    assert "2 edited, 1 deleted" in run.page().read_text()
    assert "tracks in Tator" not in run.page().read_text()
    run.track_uploads = [track_upload_record(4321, withheld=["v", "w"])]
    page = run.page().read_text()
    assert "2 edited, 1 deleted, tracks: 2 withheld" in page
    tiles = re.findall(r"<dt>(?:tracks in Tator|kept for people)</dt><dd>([\d,]+)</dd>", page)
    assert tiles == ["4,321", "5"]


def test_the_frame_of_max_n_is_shown_with_its_boxes(run):
    """Also the frame of a species that has few boxes in any frame."""

    def boxes(frame):
        crabs = {12: 2, 33: 3}.get(frame, 0)
        return [(0, 0.9)] * (6 if frame == 20 else 4) + [(1, 0.8)] * crabs

    run.add(boxes=boxes)
    text = run.page().read_text()
    assert "MaxN of cod: 6" in text
    assert "MaxN of crab: 3" in text
    assert "version=43" in text
    captions = re.findall(r"<figcaption>.*?</figcaption>", text, re.DOTALL)
    assert [caption for caption in captions if "MaxN of crab: 3" in caption and "Frame 33" in caption]
    assert [caption for caption in captions if "MaxN of cod: 6" in caption and "Frame 20" in caption]
    assert not [caption for caption in captions if "Frame 12" in caption and "MaxN of crab" in caption]


def test_a_kept_frame_without_max_n_is_not_labelled_max_n(run):
    """The frame was kept for its boxes of any score; another frame has most boxes above the threshold."""
    run.add(boxes=lambda frame: [(1, 0.1)] * 5 if frame == 45 else [(1, 0.8)] * (2 if frame == 10 else 1))
    text = run.page().read_text()
    captions = re.findall(r"<figcaption>.*?</figcaption>", text, re.DOTALL)
    [kept] = [caption for caption in captions if "Frame 45" in caption]
    assert "the most boxes of crab" in kept.lower()
    assert "MaxN" not in kept
    [counted] = [caption for caption in captions if "Frame 10" in caption]
    assert "MaxN of crab: 2" in counted


def test_frames_kept_for_scores_below_the_threshold_are_not_shown(run):
    """They are kept, since the threshold is not known yet when a media is processed."""

    def boxes(frame):
        return (
            [(0, 0.9)] * (2 if frame == 20 else 1) + [(0, 0.6)] * {31: 4}.get(frame, 0) + [(0, 0.4)] * (frame == 3) * 8
        )

    run.add(boxes=boxes)
    kept = {entry.frame: entry.kinds for entry in Album.open(run.folder / "results/previews/1.zip").pictures}
    assert kept[20] == {f"most of 1 at 0.{tenth}": 2 for tenth in (7, 8, 9)}
    for threshold, shown, hidden in ((0.3, 3, 20), (0.5, 31, 20), (0.7, 20, None)):
        captions = re.findall(r"<figcaption>.*?</figcaption>", run.page(threshold=threshold).read_text(), re.DOTALL)
        [counted] = [caption for caption in captions if "MaxN of cod" in caption]
        assert f"Frame {shown} " in counted
        assert not [caption for caption in captions if f"Frame {hidden} " in caption]
