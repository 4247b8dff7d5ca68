"""The state of each media, and the end of the run."""

import pytest

from scripts.conclude import conclude, faults
from scripts.lib.errors import PipelineError
from scripts.lib.files import read_json, write_json
from scripts.lib.record_files import as_content, write_record
from scripts.lib.records import MarksRecord
from scripts.lib.workflow import job
from scripts.summarize import summarize
from tests.made_records import destination, detection_record, media_summary, provenance, tracks_record


@pytest.fixture
def run(tmp_path):
    def summary(*media, missing=(), on_damaged="fail", tracks=()):
        """Summarize media given as (state, upload state, name), and records of tracks."""
        paths = {"records": [], "outcomes": [], "uploads": []}
        for media_id, (state, upload, name) in enumerate(media, start=1):
            reason = None if state in ("done", "no detections") else f"the reason of {media_id}"
            found = detection_record(state=state, reason=reason, decoded=10, boxes=4, seconds=1.25)
            outcome = as_content(found)
            uploaded = {"media_id": media_id, "type_id": 3, "state": upload, "reason": "deleted"}
            if upload == "verified":
                uploaded |= {"boxes": 3, "people": {"edited": ["x"], "added": [], "deleted": [], "withheld": []}}
            known = {"media_id": media_id, "state": "ready", "reason": None, "name": name}
            contents = {"records": known, "outcomes": outcome, "uploads": uploaded}
            for kind, content in contents.items():
                path = tmp_path / f"{kind}_{media_id}.json"
                write_json(path, content)
                paths[kind].append(path)
        write_record(tmp_path / "marks.json", MarksRecord(attribute="x", media_ids=[1], missing=list(missing)))
        write_record(tmp_path / "provenance.json", provenance())
        write_record(tmp_path / "destination.json", destination(known={"Species": ["2026-11-28", "No"]}))
        single = {name: tmp_path / f"{name}.json" for name in ("marks", "provenance", "destination", "summary")}
        paths["tracks"] = [tmp_path / f"tracks_{number}.json" for number in range(len(tracks))]
        for path, content in zip(paths["tracks"], tracks, strict=True):
            write_record(path, content)
        summarize(**paths, **single, on_damaged=on_damaged, table=tmp_path / "summary.txt")
        return read_json(tmp_path / "summary.json"), (tmp_path / "summary.txt").read_text()

    return summary


GOOD = ("done", "verified", "a.mp4")


def test_tracks_are_counted_and_their_fault_is_the_medias(run):
    fault = tracks_record(state="failed", reason="it was killed")
    summary, table = run(GOOD, GOOD, tracks=(tracks_record(1, 2), fault))
    assert [media["tracks"] for media in summary["media"]] == [2, 0]
    assert [media["state"] for media in summary["media"]] == ["done", "failed"]
    assert summary["failed"] == [2]
    assert "it was killed" in table
    assert "tracks" not in run(GOOD)[0]["media"][0]


def test_each_media_and_the_totals(run):
    summary, table = run(GOOD, ("no detections", "verified", "b.mp4"))
    assert summary["failed"] == []
    assert summary["totals"] == {"media": 2, "frames": 20, "boxes": 8, "boxes_in_tator": 6}
    assert [media["marked"] for media in summary["media"]] == [True, False]
    assert summary["media"][0]["people"] == {"edited": 1, "added": 0, "deleted": 0, "withheld": 0}
    assert summary["network"] == as_content(provenance())
    assert summary["destination"] == as_content(destination())
    assert "1 edited" in table


@pytest.mark.parametrize("state", ["damaged", "unreadable", "unsupported", "missing"])
def test_media_without_a_result_fail_the_run(run, tmp_path, state):
    summary, _ = run(GOOD, (state, "not uploaded", "b.mp4"))
    assert summary["failed"] == [2]
    with pytest.raises(PipelineError, match=f"1 of 2 media .* media 2 [(]b.mp4[)] is {state}: the reason of 2"):
        end(tmp_path)
    assert not (tmp_path / "outcome.txt").exists()


def test_damage_is_accepted_on_demand_and_skipping_is_no_fault(run):
    assert run(("damaged", "verified", "a"), ("skipped", "not uploaded", "b"), on_damaged="accept")[0]["failed"] == []


def test_media_deleted_before_or_after_its_upload(run):
    summary, _ = run(GOOD, ("done", "missing", "b.mp4"), GOOD, missing=[3])
    assert [media["state"] for media in summary["media"]] == ["done", "missing", "missing"]
    assert summary["failed"] == [2, 3]


@pytest.mark.parametrize("name", ["a\x1b[31mred", "two\nlines", None, "日本" * 50])
def test_a_name_cannot_spoil_the_table(run, name):
    summary, table = run(("done", "verified", name))
    assert summary["media"][0]["name"] == name
    assert len(table.splitlines()) == 3
    assert all(letter.isprintable() for line in table.splitlines() for letter in line)


def test_a_good_end_is_told(run, tmp_path, monkeypatch):
    run(GOOD)
    told = []
    monkeypatch.setattr(job, "tell_user", told.append)
    end(tmp_path)
    sentence = "1 media, 10 frames, 4 boxes found, 3 in Tator."
    assert told[-1] == sentence
    assert "a.mp4" in told[0]
    assert (tmp_path / "outcome.txt").read_text() == sentence + "\n"


def end(folder):
    conclude(summary=folder / "summary.json", table=folder / "summary.txt", outcome=folder / "outcome.txt")


def test_media_of_the_same_reason_stand_together():
    lines = [(number, "junk.mp4", "damaged", "cut") for number in range(1, 13)] + [(20, None, "missing", "deleted")]
    media = [media_summary(*line) for line in lines]
    names = ", ".join(f"{number} (junk.mp4)" for number in range(1, 11))
    assert faults(media, {*range(1, 13), 20}) == (
        f"12 media are damaged: cut (media {names} and 2 more); media 20 is missing: deleted"
    )
