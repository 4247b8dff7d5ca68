"""The summary: the state of each media, the totals, and the end of the run."""

import tracemalloc
from dataclasses import replace

import pytest
import tabulate

from scripts.conclude import conclude, faults, remedy
from scripts.lib.errors import PipelineError
from scripts.lib.files import read_json, write_json
from scripts.lib.records import MarksRecord, TracksDestination, TrackUploadRecord
from scripts.lib.records.counts import CountsInTator
from scripts.lib.records.record_files import as_content, write_record
from scripts.lib.records.summary_file import RunningTotals, read_lines, read_summary, write_summary
from scripts.lib.workflow.jobs import job
from scripts.summarize import summarize, table_lines
from tests.made_records import (
    destination,
    detection_record,
    media_summary,
    provenance,
    track_upload_record,
    tracks_record,
)

KNOWN = {"Species": ["2026-11-28", "No"]}
DESTINATION = destination(known=KNOWN)


@pytest.fixture
def run(tmp_path):
    def summary(
        *media,
        missing=(),
        on_damaged="fail",
        tracks=(),
        track_uploads=(),
        version=DESTINATION,
        counted=(),
        earlier=0,
    ):
        """Summarize media, as (state, upload state, name), and records of their tracks and uploads."""
        paths = {"records": [], "outcomes": [], "uploads": []}
        for media_id, (state, upload, name) in enumerate(media, start=1):
            reason = None if state in ("done", "no detections") else f"the reason of {media_id}"
            found = detection_record(state=state, reason=reason, decoded=10, boxes=4, seconds=1.25)
            outcome = as_content(found)
            uploaded = {"media_id": media_id, "type_id": 3, "state": upload, "reason": "deleted"}
            if upload == "verified":
                uploaded |= {"boxes": 3, "people": {"edited": ["x"], "added": [], "deleted": [], "withheld": []}}
            if upload != "verified" and earlier:
                uploaded["earlier_boxes"] = earlier
            known = {"media_id": media_id, "state": "ready", "reason": None, "name": name}
            contents = {"records": known, "outcomes": outcome, "uploads": uploaded}
            for kind, content in contents.items():
                path = tmp_path / f"{kind}_{media_id}.json"
                write_json(path, content)
                paths[kind].append(path)
        marked = MarksRecord(attribute="x", media_ids=[1], missing=list(missing), failed={})
        write_record(tmp_path / "marks.json", marked)
        write_record(tmp_path / "provenance.json", provenance())
        write_record(tmp_path / "destination.json", version)
        single = {name: tmp_path / f"{name}.json" for name in ("marks", "provenance", "destination", "summary")}
        for kind, contents in (("tracks", tracks), ("track_uploads", track_uploads)):
            paths[kind] = [tmp_path / f"{kind}_{number}.json" for number in range(len(contents))]
            for path, content in zip(paths[kind], contents, strict=True):
                write_record(path, content)
        counts = [tmp_path / "counts_in_tator.json" for _ in counted]
        for path, content in zip(counts, counted, strict=True):
            write_record(path, content)
        summarize(**paths, **single, counts=counts, on_damaged=on_damaged, table=tmp_path / "summary.txt")
        return read_json(tmp_path / "summary.json"), (tmp_path / "summary.txt").read_text()

    return summary


GOOD = ("done", "verified", "a.mp4")


def test_tracks_are_counted_and_their_fault_is_that_of_the_media(run):
    fault = tracks_record(state="failed", reason="it was killed")
    summary, table = run(GOOD, GOOD, tracks=(tracks_record(1, 2), fault))
    assert [media["tracks"] for media in summary["media"]] == [2, 0]
    assert [media["state"] for media in summary["media"]] == ["done", "failed"]
    assert summary["failed"] == [2]
    assert "it was killed" in table
    assert "tracks" not in run(GOOD)[0]["media"][0]


def test_tracks_in_tator_are_counted_and_reported(run, tmp_path, monkeypatch):
    uploads = track_upload_record(2, edited=["x"], withheld=["y", "z"]), track_upload_record(0, media_id=2)
    tracked = (tracks_record(1, 2, 2), tracks_record(media_id=2))
    summary, table = run(GOOD, GOOD, tracks=tracked, track_uploads=uploads)
    assert [media["tracks_in_tator"] for media in summary["media"]] == [2, 0]
    left = {"edited": 1, "added": 0, "deleted": 0, "withheld": 2}
    assert summary["media"][0]["people_tracks"] == left
    assert summary["totals"]["tracks_in_tator"] == 2
    assert "tracks in Tator" in table
    assert "1 edited, tracks: 1 edited, 2 withheld" in table
    messages = []
    monkeypatch.setattr(job, "tell_user", messages.append)
    end(tmp_path)
    assert messages[-1] == "2 media, 20 frames, 8 boxes found, 6 in Tator, and 2 tracks."


def test_counts_edited_by_people_are_reported_and_refused_counts_fail_their_media(run):
    counted = CountsInTator(
        attributes={"cod": "MaxN"}, media_ids=[1], people={"1": ["MaxN"]}, missing=[], failed={"2": "refused: 403"}
    )
    summary, table = run(GOOD, GOOD, counted=[counted])
    assert [media["people_counts"] for media in summary["media"]] == [["MaxN"], []]
    assert [media["state"] for media in summary["media"]] == ["done", "failed"]
    assert summary["media"][1]["reason"] == "refused: 403"
    assert summary["failed"] == [2]
    assert "1 edited, counts: MaxN" in table
    assert "people_counts" not in run(GOOD)[0]["media"][0]


def test_without_tracks_in_tator_the_summary_does_not_mention_them(run):
    summary, table = run(GOOD, tracks=(tracks_record(1),))
    assert "tracks in Tator" not in table
    assert not {"tracks_in_tator", "people_tracks"} & {*summary["media"][0], *summary["totals"]}


def test_tracks_that_were_not_uploaded_fail_their_media(run):
    fault = TrackUploadRecord(media_id=2, state="failed", reason="Tator was away")
    tracked = (tracks_record(1), tracks_record(1, media_id=2))
    summary, table = run(GOOD, GOOD, tracks=tracked, track_uploads=(track_upload_record(1), fault))
    assert summary["failed"] == [2]
    assert summary["media"][1]["reason"] == "Tator was away"
    assert "Tator was away" in table


def test_earlier_values_of_attributes_are_left_out(run):
    names = {"species_attribute": "Species", "confidence_attribute": "Confidence", "length_attribute": None}
    tracks = TracksDestination(type_id=32, **names, defaults={}, known=KNOWN)
    summary, _ = run(GOOD, version=destination(known=KNOWN, tracks=tracks))
    assert summary["destination"] == as_content(destination(tracks=replace(tracks, known=None)))


def test_lines_of_media_and_totals(run):
    summary, table = run(GOOD, ("no detections", "verified", "b.mp4"))
    assert summary["failed"] == []
    assert summary["totals"] == {"media": 2, "frames": 20, "boxes": 8, "boxes_in_tator": 6}
    assert [media["marked"] for media in summary["media"]] == [True, False]
    assert summary["media"][0]["people"] == {"edited": 1, "added": 0, "deleted": 0, "withheld": 0}
    assert summary["network"] == as_content(provenance())
    assert summary["destination"] == as_content(destination())
    assert "1 edited" in table


def test_boxes_of_earlier_runs_are_counted_and_named_at_the_end(run, tmp_path):
    summary, table = run(GOOD, ("failed", "not uploaded", "b.mp4"), ("skipped", "not uploaded", "c.mp4"), earlier=32)
    assert [one["boxes_in_tator"] for one in summary["media"]] == [3, 32, 32]
    assert [one.get("earlier_boxes") for one in summary["media"]] == [None, 32, 32]
    assert summary["totals"]["boxes_in_tator"] == 67
    assert " 32 " in table.splitlines()[3]
    files = {"summary": tmp_path / "summary.json", "table": tmp_path / "summary.txt"}
    message = "1 of 3 media have no boxes in Tator .* 64 boxes of an earlier run are still in Tator, in 2 of the media"
    with pytest.raises(PipelineError, match=message):
        conclude(**files, outcome=tmp_path / "outcome.txt")


@pytest.mark.parametrize("state", ["damaged", "unreadable", "unsupported", "missing"])
def test_media_without_a_result_fail_the_run(run, tmp_path, state):
    summary, _ = run(GOOD, (state, "not uploaded", "b.mp4"))
    assert summary["failed"] == [2]
    with pytest.raises(PipelineError, match=f"1 of 2 media .* media 2 [(]b.mp4[)] is {state}: the reason of 2"):
        end(tmp_path)
    assert not (tmp_path / "outcome.txt").exists()


def test_damage_is_accepted_if_wanted_and_skipped_media_are_no_fault(run):
    assert run(("damaged", "verified", "a"), ("skipped", "not uploaded", "b"), on_damaged="accept")[0]["failed"] == []


def test_media_deleted_before_or_after_its_upload(run):
    summary, _ = run(GOOD, ("done", "missing", "b.mp4"), GOOD, missing=[3])
    assert [media["state"] for media in summary["media"]] == ["done", "missing", "missing"]
    assert summary["failed"] == [2, 3]


@pytest.mark.parametrize("name", ["a\x1b[31mred", "two\nlines", None, "日本" * 50])
def test_a_name_cannot_break_the_table(run, name):
    summary, table = run(("done", "verified", name))
    assert summary["media"][0]["name"] == name
    assert len(table.splitlines()) == 3
    assert all(letter.isprintable() for line in table.splitlines() for letter in line)


def test_a_long_name_is_cut_in_its_middle(run):
    name = "a survey of 2024/a northern transect/camera on the left/GX010002.png"
    assert "  a survey of 2024/a n…e left/GX010002.png  " in run(("done", "verified", name))[1]


def test_a_successful_run_is_reported(run, tmp_path, monkeypatch):
    run(GOOD)
    messages = []
    monkeypatch.setattr(job, "tell_user", messages.append)
    end(tmp_path)
    sentence = "1 media, 10 frames, 4 boxes found, 3 in Tator."
    assert messages[-1] == sentence
    assert "a.mp4" in messages[0]
    assert (tmp_path / "outcome.txt").read_text() == sentence + "\n"


def end(folder):
    conclude(summary=folder / "summary.json", table=folder / "summary.txt", outcome=folder / "outcome.txt")


def test_if_all_media_failed_there_are_no_others(run, tmp_path):
    run(("missing", "not uploaded", "a.mp4"))
    with pytest.raises(PipelineError, match=r"1 of 1 media have .* is missing: the reason of 1\.$"):
        end(tmp_path)


def test_media_of_the_same_reason_are_listed_together():
    lines = [(number, "junk.mp4", "damaged", "cut") for number in range(1, 13)] + [(20, None, "missing", "deleted")]
    media = [media_summary(*line) for line in lines]
    names = ", ".join(f"{number} (junk.mp4)" for number in range(1, 11))
    assert faults(media, {*range(1, 13), 20}) == (
        f"12 media are damaged: cut (media {names} and 2 more); media 20 is missing: deleted"
    )


@pytest.mark.parametrize(
    ("states", "uploaded", "sentence"),
    [
        ({"failed", "missing"}, True, ""),
        ({"failed", "unreadable"}, False, " Repair, replace or leave out (media.exclude) what is unreadable."),
        (
            {"unsupported", "damaged"},
            True,
            " Repair, replace or leave out what is damaged or unsupported; media.on_damaged: accept accepts damaged "
            "media.",
        ),
    ],
)
def test_remedies_of_media_that_fail_in_every_run(states, uploaded, sentence):
    assert remedy(states, uploaded=uploaded) == sentence


def test_a_table_in_parts_equals_the_whole_table(monkeypatch):
    monkeypatch.setattr("scripts.summarize.ROWS_AT_ONCE", 3)
    headers = ["media", "name", "why"]
    for count in (0, 1, 3, 7):
        rows = [[str(7**number), "  a name  " * number, "True" if number < 4 else ""] for number in range(count)]
        whole = tabulate.tabulate(rows, headers, tablefmt="simple", disable_numparse=True)
        assert list(table_lines(headers, lambda rows=rows: rows)) == whole.split("\n"), count


def test_memory_does_not_grow_with_the_number_of_media(run, tmp_path, monkeypatch):
    """The summary of ten times as many media takes no more memory; a line for each media would take 3 kB."""
    run(GOOD, ("damaged", "verified", None))
    paths = {
        name: [tmp_path / f"{name}_{number}.json" for number in (1, 2)] for name in ("records", "outcomes", "uploads")
    }
    monkeypatch.setattr(job, "tell_user", lambda _: None)
    monkeypatch.setattr("scripts.summarize.ROWS_AT_ONCE", 50)
    monkeypatch.setattr("scripts.conclude.LINES_AT_ONCE", 50)
    peaks = []
    for times in (50, 500):
        tracemalloc.start()
        summarize(
            **{name: files * times for name, files in paths.items()},
            tracks=[],
            **{name: tmp_path / f"{name}.json" for name in ("marks", "provenance", "destination", "summary")},
            on_damaged="accept",
            table=tmp_path / "summary.txt",
        )
        conclude(summary=tmp_path / "summary.json", table=tmp_path / "summary.txt", outcome=tmp_path / "outcome.txt")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(read_json(tmp_path / "summary.json")["media"]) == 2 * times
        assert len((tmp_path / "summary.txt").read_text().splitlines()) == 2 * times + 2
    assert peaks[1] < 1.2 * peaks[0] + 100_000


def test_a_summary_of_an_earlier_version_is_read(run, tmp_path):
    run(GOOD, ("damaged", "verified", None))
    path = tmp_path / "summary.json"
    lines, whole = list(read_lines(path)), read_summary(path)
    assert [line.state for line in lines] == ["done", "damaged"]
    assert whole.failed == [2]
    write_json(path, read_json(path))  # indented, as earlier versions wrote it
    assert list(read_lines(path)) == lines
    assert read_summary(path) == whole


def test_a_summary_without_media(tmp_path):
    path, totals = tmp_path / "summary.json", RunningTotals(["done"], with_tracks=False)
    write_summary(path, [], totals, provenance(), None)
    assert read_json(path)["media"] == list(read_lines(path)) == []
    assert read_summary(path).totals.media == 0
