"""Detection in originals and copies: disagreements with Tator's record, and missing pictures."""

from pathlib import Path

import av
import pytest

from tests.made_records import stored_file
from tests.media_files import set_edits, write_video
from tests.scripts.tator_steps import Steps
from tests.scripts.test_detect import SYNTHETIC, Step

pytestmark = pytest.mark.networks

VIDEO = SYNTHETIC / "clip_910001.mp4"
ORIGINAL = {"role": "archival", "role_reason": "the media has only an original"}


def step_in(folder: Path) -> Step:
    folder.mkdir()
    return Step(folder)


def without_packet(source: Path, target: Path, lost: int) -> Path:
    """Copy a video's packets but one."""
    with av.open(str(source)) as video, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(video.streams.video[0])
        for number, packet in enumerate(video.demux(video=0)):
            if packet.size and number != lost:
                packet.stream = stream
                out.mux(packet)
    return target


def test_a_record_of_tator_that_disagrees_with_the_file_is_reported(tmp_path: Path) -> None:
    record = {"file": stored_file("a.mp4"), "copy": None, "fps": 12.5, "num_frames": 300, "width": 360, "height": 640}
    outcome = step_in(tmp_path / "step")(VIDEO, record=record, download=ORIGINAL)
    assert outcome["state"] == "done"
    sentences = [
        "Tator's record says 360 x 640 pixels, the pictures read are 640 x 360",
        "Tator's record says 12.5000 pictures a second, the file 20.0000",
        "Tator's record says 300 frames, the file read has 60",
    ]
    assert outcome["numbering"]["disagreements"] == sentences
    assert outcome["reason"] == "; ".join(sentences)


def test_hevc_with_two_edits_is_reported_if_tator_has_a_copy(tmp_path: Path) -> None:
    """Tator's transcoder loses pictures between the two edits; this workflow does not."""
    encode = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=10"}
    clip = write_video(tmp_path / "a.mov", range(30), codec="libx265", encode=encode)
    set_edits(clip, [(400, 1024, 1), (400, 20 * 512 + 1024, 1)])
    both = {"file": stored_file("a.mov"), "copy": stored_file("b.mp4", "streaming")}
    for name, record, reported in (("copy", both, True), ("alone", {**both, "copy": None}, False)):
        outcome = step_in(tmp_path / name)(clip, record=record, download=ORIGINAL)
        assert outcome["state"] in ("done", "no detections"), outcome["reason"]
        assert ("the copy may show others" in (outcome["reason"] or "")) is reported


def test_black_pictures_that_the_transcoder_appends_are_not_reported(tmp_path: Path) -> None:
    for count in (58, 60, 61, 62):
        record = {"file": stored_file("a.mp4"), "fps": 20.0, "num_frames": count, "width": 640, "height": 360}
        outcome = step_in(tmp_path / str(count))(VIDEO, record=record, download=ORIGINAL)
        assert (outcome["numbering"]["disagreements"], outcome["reason"]) == ([], None), count


def test_a_lost_packet_of_an_original_is_reported_if_its_copy_is_read(steps: Steps, tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mkv", range(60), encode={"bf": "0", "g": "10"})
    original, copy = without_packet(whole, tmp_path / "original.mkv", 19), write_video(tmp_path / "copy.mp4", range(60))
    media_id = steps.server.add_media("a.mkv", files={"archival": [original], "streaming": [copy]})
    steps.server.change("media", media_id, fps=25.0, num_frames=61, width=160, height=90)
    [record] = steps.resolve(media_id)
    download = steps.download(media_id)
    assert download["role"] == "streaming"
    reason = (
        "the original is not shown as it is: picture 19, at 0.800 s, has the frame number 20 in the copy; "
        "by the times of the others 1 picture is missing, the first after picture 18"
    )
    assert download["role_reason"] == reason
    outcome = step_in(tmp_path / "step")(steps.folder / f"media_{media_id}", record=record, download=download)
    assert outcome["state"] in ("done", "no detections")
    assert outcome["reason"] == f"Tator's streaming copy was read, as {reason}"
    assert outcome["numbering"]["replaces_original"] is True
    assert outcome["frames"]["decoded"] == 60


def test_a_lost_packet_of_an_original_is_reported_if_the_original_is_read(steps: Steps, tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mkv", range(60), encode={"bf": "0", "g": "10"})
    single = write_video(tmp_path / "single.mkv", range(60), codec="mjpeg", pixels="yuvj420p")
    copy = write_video(tmp_path / "copy.mp4", range(60))
    found = {}
    for source, lost in ((single, 25), (whole, 15), (whole, 20)):  # an independent picture, a reference, a key frame
        original = without_packet(source, tmp_path / f"original{lost}.mkv", lost)
        media_id = steps.server.add_media("a.mkv", files={"archival": [original], "streaming": [copy]})
        steps.server.change("media", media_id, fps=25.0, num_frames=61, width=160, height=90)
        [record] = steps.resolve(media_id, file="archival")
        download = steps.download(media_id)
        assert download["role"] == "archival"
        media = steps.folder / f"media_{media_id}"
        found[lost] = step_in(tmp_path / f"step{lost}")(media, record=record, download=download)
    assert (found[25]["frames"]["numbers"], found[25]["numbering"]["repeated"]) == (60, 1)
    assert "1 of its pictures have several frame numbers, and 0 have none" in found[25]["reason"]
    assert found[15]["state"] == "damaged"
    assert "1 coded picture is missing, the first at packet 15" in found[15]["reason"]
    assert found[20]["state"] == "damaged"
    assert "9 coded pictures are missing" in found[20]["reason"]
    assert found[20]["frames"]["numbers"] == 60
