"""MaxN as attributes of the media: written once, and only of verified media."""

from dataclasses import replace

import pytest

from scripts import write_counts as script
from scripts.lib.errors import STORE_VARIABLE, PipelineError, ServerError
from scripts.lib.records import DetectionRecord
from scripts.lib.records.record_files import read_record, write_record
from scripts.lib.workflow.jobs.failures import forget
from tests.scripts.count_steps import COD, CRAB, add_attributes, counted
from tests.scripts.tator_steps import MARK
from tests.tator_server.seed import attribute as seed_attribute

__all__ = ["counted"]


def test_counts_are_written_to_the_media(counted):
    record = counted.write()
    assert record == {
        "attributes": {"cod": COD, "crab": CRAB},
        "media_ids": [1, 2],
        "people": {},
        "missing": [],
        "failed": {},
    }
    assert counted.values(1) == [3, 2]
    assert counted.values(2) == [0, 5]
    assert counted.values(1, MARK) == ["No"], "other attributes stay"


def test_counts_are_not_written_twice(counted):
    counted.write()
    counted.server.clear_requests()
    before = (counted.folder / "written_counts.json").read_bytes()
    assert counted.write()["media_ids"] == [1, 2]
    assert counted.write_requests() == 0
    assert (counted.folder / "written_counts.json").read_bytes() == before


def test_species_that_no_media_has_gets_0(counted):
    counted.numbers = {1: {"crab": 1}}
    counted.write()
    assert counted.values(1) == [0, 1]


def test_only_verified_media_get_counts(counted):
    counted.steps.detected(2, [], "unreadable", "not a video")
    counted.steps.upload(2)
    assert counted.write()["media_ids"] == [1]
    assert counted.values(2) == [None, -1.0]


def test_a_run_in_which_no_species_was_seen_writes_0(counted):
    """The table has no rows then."""
    counted.write()
    counted.numbers = {}
    assert counted.write()["media_ids"] == [1, 2]
    assert counted.values(1) == counted.values(2) == [0, 0]


def test_no_media_means_no_requests(counted):
    counted.media_ids = []
    assert counted.write()["media_ids"] == []
    assert counted.server.requests() == []


def test_a_media_without_processed_frames_has_no_counts(counted):
    """0 would be wrong: how many animals it shows is unknown."""
    outcome = read_record(DetectionRecord, counted.folder / "found_2.json")
    asked = replace(outcome.asked, frame_range=[1000, 2000])
    write_record(counted.folder / "found_2.json", replace(outcome, asked=asked))
    assert counted.write()["media_ids"] == [1]
    assert counted.values(2) == [None, -1.0]
    assert counted.steps.mark(1, 2)["media_ids"] == [1, 2]


def test_media_with_equal_counts_share_a_request(counted, media_folder):
    videos = [1, 2, *(counted.server.add_media(f"{name}.mp4") for name in "abcd")]
    pictures = [
        counted.server.add_media(name, dtype="image", files={"image": [media_folder / "clip_910001.mp4"]})
        for name in ("e.png", "f.png")
    ]
    counted.steps.resolve(*videos, *pictures)
    counted.verified(*videos, *pictures)
    counted.numbers = {number: {"cod": number // 100, "crab": 1} for number in [*videos, *pictures]}
    counted.server.clear_requests()
    counted.write()
    assert counted.write_requests() == 2
    assert [counted.values(number) for number in [*videos, *pictures]] == [[0, 1]] * 8


def test_media_deleted_meanwhile(counted):
    counted.steps.api.delete_media(1)
    record = counted.write()
    assert (record["missing"], record["media_ids"]) == ([1], [2])


@pytest.mark.parametrize(
    ("kind", "after"),
    [
        *((kind, False) for kind in ("drop_answer", "throttle", "reset", "html", "drop_and_go_on", "late_commit")),
        *((kind, after) for kind in ("status", "outage") for after in (False, True)),
    ],
)
def test_temporary_faults(counted, kind, after):
    counted.server.fault(kind, after=after, operation="UpdateMediaList")
    assert counted.write()["media_ids"] == [1, 2]
    assert counted.values(1) == [3, 2]


def test_no_right_to_write(counted, monkeypatch):
    monkeypatch.setenv("TATOR_AUTH_TOKEN", counted.server.tokens["viewer"])
    record = counted.write()
    assert record["media_ids"] == []
    assert "the right Can Edit" in record["failed"]["1"]
    assert counted.values(1) == [None, -1.0]


def test_a_refused_media_is_not_marked_and_is_tried_again(counted):
    counted.numbers[2] = {"cod": 3, "crab": 2}
    counted.server.fault("status", status=403, operation="UpdateMediaList", media=2, times=None)
    record = counted.write()
    assert record["media_ids"] == [1]
    assert "the write of its counts was refused: write counts:" in record["failed"]["2"]
    marked = counted.steps.mark(1, 2, counts=[counted.folder / "counts_in_tator.json"])
    assert marked["media_ids"] == [1]
    assert marked["failed"] == {}, "the record of the counts has the reason"
    assert forget(counted.folder) == ["counts_in_tator.json"]
    counted.server.clear_faults()
    assert counted.write()["failed"] == {}
    assert counted.values(2) == [3, 2]
    assert counted.steps.mark(1, 2, counts=[counted.folder / "counts_in_tator.json"])["media_ids"] == [1, 2]


def test_a_count_above_the_attribute_s_maximum_is_a_fault_of_that_media(counted):
    [owner] = [one for one in counted.server.all("media_type") if one["id"] == counted.server.video_type_id]
    for kind in owner["attribute_types"]:
        if kind["name"] == COD:
            kind["maximum"] = 2
    counted.server.change("media_type", owner["id"], attribute_types=owner["attribute_types"])
    record = counted.write()
    assert record["media_ids"] == [2]
    assert "above maximum 2" in record["failed"]["1"]


def test_refusal_of_a_write_that_was_done(counted):
    counted.server.fault("status", status=403, after=True, operation="UpdateMediaList", media=1, times=None)
    assert counted.write()["failed"] == {}


def test_a_value_that_is_not_kept(counted):
    fault = {"path": ["id=1", "attributes", COD], "json": "null", "operation": "GetMediaListById", "media": 1}
    counted.server.fault("odd_answer", **fault, times=None)
    assert "does not keep the counts" in counted.write()["failed"]["1"]


@pytest.mark.parametrize("changes", [{"path": ["id=1", "type"], "json": "[1]"}, {"path": ["id=1"], "json": "null"}])
def test_odd_record_of_one_media(counted, changes):
    counted.server.fault("odd_answer", **changes, operation="GetMediaListById", media=1, times=None)
    record = counted.write()
    assert record["media_ids"] == [2]
    assert record["failed"].keys() | set(map(str, record["missing"])) == {"1"}


def test_an_unexpected_error_with_one_media_does_not_stop_the_others(counted, monkeypatch):
    def odd(media, *rest):
        if media["id"] == 1:
            raise ZeroDivisionError("odd")
        return changes(media, *rest)

    changes = script._changes
    monkeypatch.setattr(script, "_changes", odd)
    record = counted.write()
    assert record["media_ids"] == [2]
    assert "an unexpected error, ZeroDivisionError: odd" in record["failed"]["1"]


def test_a_refused_token_fails_the_job(counted):
    counted.server.fault("revoke_token", operation="UpdateMediaList")
    with pytest.raises(ServerError, match="Invalid token"):
        counted.write()
    assert not (counted.folder / "counts_in_tator.json").exists()


def test_with_remote_storage_the_job_fails_after_the_others_are_written(counted, monkeypatch):
    monkeypatch.setenv(STORE_VARIABLE, "yes")
    counted.server.fault("status", status=403, operation="UpdateMediaList", media=2, times=None)
    with pytest.raises(ServerError, match="403"):
        counted.write()
    assert counted.values(1) == [3, 2]


def test_requests_end_early_if_every_write_is_refused(counted, monkeypatch):
    ids = [1, *(counted.server.add_media(f"{number}.mp4") for number in range(7))]
    counted.steps.resolve(*ids)
    counted.verified(*ids)
    counted.numbers = {media_id: {"cod": 1, "crab": 1} for media_id in ids}
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "0")
    counted.server.fault("status", status=403, operation="UpdateMediaList", times=None)
    counted.server.clear_requests()
    assert counted.write()["failed"].keys() == set(map(str, ids))
    assert counted.write_requests() < len(ids)


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ([], "has no int or float attribute 'MaxN cod'; it has"),
        ([seed_attribute(COD, "string")], r"has no int or float attribute 'MaxN cod'.*MaxN cod \(string\)"),
        ([seed_attribute(COD, "bool")], r"has no int or float attribute 'MaxN cod'.*MaxN cod \(bool\)"),
    ],
)
def test_an_attribute_of_a_wrong_type_is_refused_first(steps, kinds, message):
    add_attributes(steps.server, *kinds)
    with pytest.raises(ServerError, match=rf"counts\.attributes: media type .*{message}"):
        steps.resolve(1, count_attributes=[COD])


def test_each_missing_attribute_has_a_message(steps):
    with pytest.raises(ServerError) as caught:
        steps.resolve(1, count_attributes=[COD, CRAB], mark_attribute="Seen")
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "mark.attribute",
        "counts.attributes",
        "counts.attributes",
    ]


def test_species_that_the_network_does_not_have_are_refused(steps):
    with pytest.raises(
        PipelineError, match=r"counts\.attributes: the network has no species 'Cod'; it has 'cod', 'crab'"
    ):
        steps.prepare(counted_species=["Cod"])


def test_a_write_whose_answer_was_lost_is_not_repeated(counted):
    counted.server.fault("drop_answer", operation="UpdateMediaList", media=1)
    assert counted.write()["failed"] == {}
    assert counted.values(1) == [3, 2]
    assert counted.write_requests() == 2, "one for each media"
