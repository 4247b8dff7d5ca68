"""MaxN as attributes of the media: written where nobody else's value stands, once, and only of verified media."""

import csv
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from scripts import write_counts as script
from scripts.lib.errors import STORE_VARIABLE, PipelineError, ServerError
from scripts.lib.files import read_json
from scripts.lib.record_files import read_record, write_record
from scripts.lib.records import DetectionRecord
from scripts.lib.server.api import Project
from scripts.lib.uploads import media_attributes
from scripts.lib.uploads.written_counts import WrittenCounts
from scripts.lib.workflow.jobs.failures import forget
from scripts.write_counts import write_counts
from tests.faults.steps import until
from tests.scripts.tator_steps import MARK
from tests.tator_server.seed import attribute as seed_attribute

COD, CRAB = "MaxN cod", "MaxN crab"


class Counted:
    """The rule write_counts of a run's folder, after the others."""

    def __init__(self, steps):
        self.steps, self.server, self.folder = steps, steps.server, steps.folder
        self.numbers = {}
        self.media_ids = []

    def verified(self, *media_ids):
        self.media_ids = list(media_ids)
        for media_id in media_ids:
            self.steps.detected(media_id, [])
            self.steps.upload(media_id)

    def table(self):
        with (self.folder / "counts.csv").open("w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(["media_id", "species", "max_n"])
            for media_id, numbers in self.numbers.items():
                rows.writerows((media_id, species, number) for species, number in numbers.items())

    def write(self, folder=None, **changes):
        self.table()
        settings = {
            "counts": self.folder / "counts.csv",
            **{
                kind: [self.folder / f"{name}_{media_id}.json" for media_id in self.media_ids]
                for kind, name in {"records": "record", "outcomes": "found", "uploads": "upload"}.items()
            },
            "attributes": {"cod": COD, "crab": CRAB},
            "memory": (folder or self.folder) / "written_counts.json",
            "counts_in_tator": self.folder / "counts_in_tator.json",
            **changes,
        }
        write_counts(**self.steps.where, **settings)
        return read_json(self.folder / "counts_in_tator.json")

    def edit(self, media_id, **attributes):
        self.steps.api.update_media(media_id, {"attributes": attributes})

    def calls(self):
        return len(self.server.requests("UpdateMediaList"))

    def stands(self, media_id, *names):
        standing = self.steps.api.get_media(media_id).attributes
        return [standing.get(name) for name in names or (COD, CRAB)]


def add_attributes(server, *kinds):
    for type_id in (server.video_type_id, server.image_type_id):
        [owner] = [one for one in server.all("media_type") if one["id"] == type_id]
        server.change("media_type", type_id, attribute_types=[*owner["attribute_types"], *kinds])


@pytest.fixture
def counted(steps):
    add_attributes(steps.server, seed_attribute(COD, "int"), seed_attribute(CRAB, "float", default=-1.0))
    steps.resolve(1, 2, count_attributes=[COD, CRAB])
    steps.prepare(counted_species=["cod", "crab"])
    found = Counted(steps)
    for media_id in (1, 2):
        found.edit(media_id, **{CRAB: -1.0})  # as Tator fills in the default of a new attribute
    found.verified(1, 2)
    found.numbers = {1: {"cod": 3, "crab": 2}, 2: {"cod": 0, "crab": 5}}
    steps.server.clear_requests()
    return found


def test_counts_stand_in_the_media(counted):
    record = counted.write()
    assert record == {
        "attributes": {"cod": COD, "crab": CRAB},
        "media_ids": [1, 2],
        "people": {},
        "missing": [],
        "failed": {},
    }
    assert counted.stands(1) == [3, 2]
    assert counted.stands(2) == [0, 5]
    assert counted.stands(1, MARK) == ["No"], "other attributes stay"


def test_nothing_is_written_twice(counted):
    counted.write()
    counted.server.clear_requests()
    before = (counted.folder / "written_counts.json").read_bytes()
    assert counted.write()["media_ids"] == [1, 2]
    assert counted.calls() == 0
    assert (counted.folder / "written_counts.json").read_bytes() == before


def test_species_that_no_media_has_gets_0(counted):
    counted.numbers = {1: {"crab": 1}}
    counted.write()
    assert counted.stands(1) == [0, 1]


def test_our_own_value_follows_the_boxes(counted):
    counted.write()
    counted.numbers[1] = {"cod": 0, "crab": 7}
    counted.write()
    assert counted.stands(1) == [0, 7]


@pytest.mark.parametrize("value", [9, 3.5, 0, -2])
def test_a_persons_value_stays(counted, value):
    counted.edit(1, **{CRAB: value})
    record = counted.write()
    assert record["people"] == {"1": [CRAB]}
    assert record["media_ids"] == [1, 2]
    assert counted.stands(1) == [3, value]
    counted.numbers[1]["crab"] = 4
    assert counted.write()["people"] == {"1": [CRAB]}
    assert counted.stands(1) == [3, value]


def test_a_persons_change_of_our_value_stays(counted):
    counted.write()
    counted.edit(1, **{COD: 4})
    counted.numbers[1]["cod"] = 6
    assert counted.write()["people"] == {"1": [COD]}
    assert counted.stands(1, COD) == [4]


def test_a_value_of_an_earlier_run_that_a_person_brings_back_stays(counted):
    counted.write()
    counted.numbers[1]["cod"] = 6
    counted.write()
    counted.edit(1, **{COD: 3})
    counted.numbers[1]["cod"] = 7
    assert counted.write()["people"] == {"1": [COD]}
    assert counted.stands(1, COD) == [3]


def test_a_value_that_a_person_took_away_is_written_again(counted):
    counted.write()
    counted.edit(1, **{CRAB: -1.0})
    counted.steps.api.update_media(1, {"null_attributes": [COD]})
    assert counted.stands(1) == [None, -1]
    counted.write()
    assert counted.stands(1) == [3, 2]


def test_another_folder_knows_of_nothing_that_this_one_wrote(counted, tmp_path):
    counted.write()
    other = tmp_path / "other"
    assert counted.write(other)["people"] == {}, "what is as it should be is nobody's"
    counted.numbers[1]["cod"] = 6
    assert counted.write(other)["people"] == {"1": [COD]}
    assert counted.stands(1, COD) == [3]


def test_the_memory_is_of_one_project(counted):
    counted.write()
    memory = counted.folder / "written_counts.json"
    place, *notes = memory.read_text().splitlines()
    assert json.loads(place) == {"place": [counted.server.host, counted.server.project_id]}
    memory.write_text("\n".join([json.dumps({"place": [counted.server.host, -1]}), *notes]) + "\n")
    counted.numbers[1]["cod"] = 6
    assert counted.write()["people"] == {"1": [COD]}


def test_a_memory_of_a_version_that_wrote_it_as_a_whole(counted):
    counted.write()
    place = [counted.server.host, counted.server.project_id]
    write_record(
        counted.folder / "written_counts.json", {"place": place, "written": {"1": {COD: [3]}, "2": {COD: [7, 0]}}}
    )
    counted.numbers[1]["cod"], counted.numbers[2]["cod"] = 6, 4
    assert counted.write()["people"] == {}
    assert (counted.stands(1, COD), counted.stands(2, COD)) == ([6], [4])


def test_a_note_that_was_cut_was_not_sent(counted):
    counted.write()
    memory = counted.folder / "written_counts.json"
    memory.write_text(memory.read_text() + '[1, {"MaxN cod": [3, 44')
    counted.edit(1, **{COD: 44})
    counted.numbers[1]["cod"], counted.numbers[2]["cod"] = 6, 4
    assert counted.write()["people"] == {"1": [COD]}
    lines = memory.read_text().splitlines()
    assert json.loads(lines[-1]) == [2, {COD: [4], CRAB: [5]}]
    assert len(lines) == 4, "the project, a media each, and a second line of the one that changed"


@pytest.mark.parametrize("content", ["[]", "{", '{"place": 1', '{"written": {"x": 1}}', '"x"'])
def test_a_memory_that_is_damaged_is_told_in_a_sentence(counted, content):
    (counted.folder / "written_counts.json").write_text(content)
    place = [counted.server.host, counted.server.project_id]
    if content == '{"written": {"x": 1}}':
        write_record(counted.folder / "written_counts.json", {"place": place, "written": {"x": 1}})
    with pytest.raises(PipelineError, match=r"written_counts\.json.*remove it"):
        counted.write()
    assert counted.calls() == 0


@pytest.mark.parametrize("odd", ["9", True, [1], {"a": 1}])
def test_odd_values_are_peoples(counted, odd):
    counted.server.change("media", 1, attributes={CRAB: odd})
    assert counted.write()["people"] == {"1": [CRAB]}
    assert counted.stands(1, COD) == [3]


def test_only_verified_media_get_counts(counted):
    counted.steps.detected(2, [], "unreadable", "not a video")
    counted.steps.upload(2)
    assert counted.write()["media_ids"] == [1]
    assert counted.stands(2) == [None, -1.0]


def test_a_run_in_which_no_species_was_seen_writes_0(counted):
    """The table has no rows then."""
    counted.write()
    counted.numbers = {}
    assert counted.write()["media_ids"] == [1, 2]
    assert counted.stands(1) == counted.stands(2) == [0, 0]


def test_nothing_to_write_asks_nothing(counted):
    counted.media_ids = []
    assert counted.write()["media_ids"] == []
    assert counted.server.requests() == []


def test_a_media_in_which_no_frame_was_looked_at_has_no_counts(counted):
    """Nothing is known of it, so that 0 would be wrong."""
    outcome = read_record(DetectionRecord, counted.folder / "found_2.json")
    asked = replace(outcome.asked, frame_range=[1000, 2000])
    write_record(counted.folder / "found_2.json", replace(outcome, asked=asked))
    assert counted.write()["media_ids"] == [1]
    assert counted.stands(2) == [None, -1.0]
    assert counted.steps.mark(1, 2)["media_ids"] == [1, 2]


def test_alike_media_share_a_call(counted, media_folder):
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
    assert counted.calls() == 2
    assert [counted.stands(number) for number in [*videos, *pictures]] == [[0, 1]] * 8


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
def test_passing_faults(counted, kind, after):
    counted.server.fault(kind, after=after, operation="UpdateMediaList")
    assert counted.write()["media_ids"] == [1, 2]
    assert counted.stands(1) == [3, 2]


def test_no_right_to_write(counted, monkeypatch):
    monkeypatch.setenv("TATOR_AUTH_TOKEN", counted.server.tokens["viewer"])
    record = counted.write()
    assert record["media_ids"] == []
    assert "the right Can Edit" in record["failed"]["1"]
    assert counted.stands(1) == [None, -1.0]


def test_one_media_refused_is_not_marked_and_tried_again(counted):
    counted.numbers[2] = {"cod": 3, "crab": 2}
    counted.server.fault("status", status=403, operation="UpdateMediaList", media=2, times=None)
    record = counted.write()
    assert record["media_ids"] == [1]
    assert "the write of its counts was refused: write counts:" in record["failed"]["2"]
    marked = counted.steps.mark(1, 2, counts=[counted.folder / "counts_in_tator.json"])
    assert marked["media_ids"] == [1]
    assert marked["failed"] == {}, "its counts say why"
    assert forget(counted.folder) == ["counts_in_tator.json"]
    counted.server.clear_faults()
    assert counted.write()["failed"] == {}
    assert counted.stands(2) == [3, 2]
    assert counted.steps.mark(1, 2, counts=[counted.folder / "counts_in_tator.json"])["media_ids"] == [1, 2]


def test_a_bound_of_the_attribute_is_that_medias_fault(counted):
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


def test_an_unforeseen_error_with_one_media_leaves_the_others_written(counted, monkeypatch):
    def odd(media, *rest):
        if media["id"] == 1:
            raise ZeroDivisionError("odd")
        return changes(media, *rest)

    changes = script._changes
    monkeypatch.setattr(script, "_changes", odd)
    record = counted.write()
    assert record["media_ids"] == [2]
    assert "an unforeseen error, ZeroDivisionError: odd" in record["failed"]["1"]


def test_token_refused_is_everybodys(counted):
    counted.server.fault("revoke_token", operation="UpdateMediaList")
    with pytest.raises(ServerError, match="Invalid token"):
        counted.write()
    assert not (counted.folder / "counts_in_tator.json").exists()


def test_a_job_that_was_killed_after_its_write_knows_its_value(counted, monkeypatch):
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "0")
    counted.server.fault("drop_answer", operation="UpdateMediaList", times=None)
    with pytest.raises(ServerError):
        counted.write()
    assert counted.stands(1) == [3, 2], "it was carried out, though no answer came"
    counted.server.clear_faults()
    counted.numbers[1] = {"cod": 8, "crab": 9}
    record = counted.write()
    assert record["people"] == {}
    assert counted.stands(1) == [8, 9]


def test_with_a_store_the_job_fails_when_the_others_are_written(counted, monkeypatch):
    monkeypatch.setenv(STORE_VARIABLE, "yes")
    counted.server.fault("status", status=403, operation="UpdateMediaList", media=2, times=None)
    with pytest.raises(ServerError, match="403"):
        counted.write()
    assert counted.stands(1) == [3, 2]


def test_all_refused_are_not_asked_for_for_ever(counted, monkeypatch):
    ids = [1, *(counted.server.add_media(f"{number}.mp4") for number in range(7))]
    counted.steps.resolve(*ids)
    counted.verified(*ids)
    counted.numbers = {media_id: {"cod": 1, "crab": 1} for media_id in ids}
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "0")
    counted.server.fault("status", status=403, operation="UpdateMediaList", times=None)
    counted.server.clear_requests()
    assert counted.write()["failed"].keys() == set(map(str, ids))
    assert counted.calls() < len(ids)


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        ([], "has no int or float attribute 'MaxN cod'; it has"),
        ([seed_attribute(COD, "string")], r"has no int or float attribute 'MaxN cod'.*MaxN cod \(string\)"),
        ([seed_attribute(COD, "bool")], r"has no int or float attribute 'MaxN cod'.*MaxN cod \(bool\)"),
    ],
)
def test_an_attribute_that_cannot_hold_counts_is_found_out_first(steps, kinds, words):
    add_attributes(steps.server, *kinds)
    with pytest.raises(ServerError, match=rf"counts\.attributes: media type .*{words}"):
        steps.resolve(1, count_attributes=[COD])


def test_each_attribute_that_is_missing_has_its_sentence(steps):
    with pytest.raises(ServerError) as caught:
        steps.resolve(1, count_attributes=[COD, CRAB], mark_attribute="Seen")
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == [
        "mark.attribute",
        "counts.attributes",
        "counts.attributes",
    ]


def test_species_that_the_network_does_not_have(steps):
    with pytest.raises(
        PipelineError, match=r"counts\.attributes: the network has no species 'Cod'; it has 'cod', 'crab'"
    ):
        steps.prepare(counted_species=["Cod"])


def test_a_person_who_edits_while_it_is_written_is_not_overwritten_by_the_next_run(counted, monkeypatch):
    write = Project.set_attributes

    def and_a_person(self, *arguments, **more):
        write(self, *arguments, **more)
        counted.edit(1, **{COD: 44})

    with monkeypatch.context() as patch:
        patch.setattr(Project, "set_attributes", and_a_person)
        assert "does not keep" in counted.write()["failed"]["1"]
    assert counted.write()["people"] == {"1": [COD]}
    assert counted.stands(1) == [44, 2]


def test_an_edit_between_the_look_and_the_write_stays(counted, monkeypatch):
    """What was listed a while ago is listed again right before it is written over."""
    begin = WrittenCounts.begin

    def and_a_person(self, changes):
        begin(self, changes)
        if changes.get(1, {}).get(COD) == 3:
            counted.edit(1, **{COD: 44})

    monkeypatch.setattr(media_attributes, "READ_AGAIN_SECONDS", -1)
    monkeypatch.setattr(WrittenCounts, "begin", and_a_person)
    record = counted.write()
    assert (record["people"], record["failed"], record["media_ids"]) == ({"1": [COD]}, {}, [1, 2])
    assert counted.stands(1) == [44, 2], "its other count is written"
    assert counted.stands(2) == [0, 5]


@pytest.mark.parametrize("attributes", [{"cod": COD, "crab": CRAB}, {"cod": COD}], ids=["both", "one"])
def test_an_edit_while_a_write_is_tried_again_stays(counted, attributes):
    """The answer was lost, or none came: each further try follows another check."""
    counted.media_ids = [1]
    for fault in ({"kind": "slow", "seconds": 1}, {"kind": "status", "status": 503}):
        counted.server.fault(**fault, operation="UpdateMediaList")
    with ThreadPoolExecutor(1) as beside:
        written = beside.submit(counted.write, attributes=attributes)
        until(counted.calls)
        counted.edit(1, **{COD: 44})
        record = written.result()
    assert (record["people"], record["failed"], record["media_ids"]) == ({"1": [COD]}, {}, [1])
    assert counted.stands(1) == [44, 2 if CRAB in attributes.values() else -1]


def test_a_value_that_a_lost_answer_left_is_not_written_twice(counted):
    counted.server.fault("drop_answer", operation="UpdateMediaList", media=1)
    assert counted.write()["failed"] == {}
    assert counted.stands(1) == [3, 2]
    assert counted.calls() == 2, "one for each media"
