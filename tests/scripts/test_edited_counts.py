"""MaxN as attributes of the media that people edit: their values stay, and the workflow's own are replaced."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from scripts.lib.errors import PipelineError, ServerError
from scripts.lib.records.record_files import write_record
from scripts.lib.server.api import Project
from scripts.lib.uploads import media_attributes
from scripts.lib.uploads.written_values import WrittenValues
from tests.faults.steps import until
from tests.scripts.count_steps import COD, CRAB, counted

__all__ = ["counted"]


def test_a_value_of_the_workflow_is_replaced_when_the_boxes_change(counted):
    counted.write()
    counted.numbers[1] = {"cod": 0, "crab": 7}
    counted.write()
    assert counted.values(1) == [0, 7]


@pytest.mark.parametrize("value", [9, 3.5, 0, -2])
def test_a_persons_value_stays(counted, value):
    counted.edit(1, **{CRAB: value})
    record = counted.write()
    assert record["people"] == {"1": [CRAB]}
    assert record["media_ids"] == [1, 2]
    assert counted.values(1) == [3, value]
    counted.numbers[1]["crab"] = 4
    assert counted.write()["people"] == {"1": [CRAB]}
    assert counted.values(1) == [3, value]


def test_a_persons_change_of_our_value_stays(counted):
    counted.write()
    counted.edit(1, **{COD: 4})
    counted.numbers[1]["cod"] = 6
    assert counted.write()["people"] == {"1": [COD]}
    assert counted.values(1, COD) == [4]


def test_a_value_of_an_earlier_run_that_a_person_restores_stays(counted):
    counted.write()
    counted.numbers[1]["cod"] = 6
    counted.write()
    counted.edit(1, **{COD: 3})
    counted.numbers[1]["cod"] = 7
    assert counted.write()["people"] == {"1": [COD]}
    assert counted.values(1, COD) == [3]


def test_a_value_that_a_person_removed_is_written_again(counted):
    counted.write()
    counted.edit(1, **{CRAB: -1.0})
    counted.steps.api.update_media(1, {"null_attributes": [COD]})
    assert counted.values(1) == [None, -1]
    counted.write()
    assert counted.values(1) == [3, 2]


@pytest.mark.parametrize("odd", ["9", True, [1], {"a": 1}])
def test_values_that_are_not_numbers_count_as_people_s(counted, odd):
    counted.server.change("media", 1, attributes={CRAB: odd})
    assert counted.write()["people"] == {"1": [CRAB]}
    assert counted.values(1, COD) == [3]


def test_values_written_from_another_folder_count_as_people_s(counted, tmp_path):
    counted.write()
    other = tmp_path / "other"
    assert counted.write(other)["people"] == {}, "a correct value is not counted as people's"
    counted.numbers[1]["cod"] = 6
    assert counted.write(other)["people"] == {"1": [COD]}
    assert counted.values(1, COD) == [3]


def test_written_counts_of_another_project_are_ignored(counted):
    counted.write()
    path = counted.folder / "written_counts.json"
    place, *notes = path.read_text().splitlines()
    assert json.loads(place) == {"place": [counted.server.host, counted.server.project_id]}
    path.write_text("\n".join([json.dumps({"place": [counted.server.host, -1]}), *notes]) + "\n")
    counted.numbers[1]["cod"] = 6
    assert counted.write()["people"] == {"1": [COD]}


def test_written_counts_in_the_format_of_an_earlier_version_are_read(counted):
    counted.write()
    place = [counted.server.host, counted.server.project_id]
    write_record(
        counted.folder / "written_counts.json", {"place": place, "written": {"1": {COD: [3]}, "2": {COD: [7, 0]}}}
    )
    counted.numbers[1]["cod"], counted.numbers[2]["cod"] = 6, 4
    assert counted.write()["people"] == {}
    assert (counted.values(1, COD), counted.values(2, COD)) == ([6], [4])


def test_an_incomplete_last_line_of_the_written_counts_is_ignored(counted):
    counted.write()
    path = counted.folder / "written_counts.json"
    path.write_text(path.read_text() + '[1, {"MaxN cod": [3, 44')
    counted.edit(1, **{COD: 44})
    counted.numbers[1]["cod"], counted.numbers[2]["cod"] = 6, 4
    assert counted.write()["people"] == {"1": [COD]}
    lines = path.read_text().splitlines()
    assert json.loads(lines[-1]) == [2, {COD: [4], CRAB: [5]}]
    assert len(lines) == 4, "the project, one line for each media, and a second line for the one that changed"


@pytest.mark.parametrize("content", ["[]", "{", '{"place": 1', '{"written": {"x": 1}}', '"x"'])
def test_a_damaged_file_of_written_counts_is_one_clear_message(counted, content):
    (counted.folder / "written_counts.json").write_text(content)
    place = [counted.server.host, counted.server.project_id]
    if content == '{"written": {"x": 1}}':
        write_record(counted.folder / "written_counts.json", {"place": place, "written": {"x": 1}})
    with pytest.raises(PipelineError, match=r"written_counts\.json.*remove it"):
        counted.write()
    assert counted.write_requests() == 0


def test_a_value_whose_write_was_not_confirmed_counts_as_the_workflow_s(counted, monkeypatch):
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "0")
    counted.server.fault("drop_answer", operation="UpdateMediaList", times=None)
    with pytest.raises(ServerError):
        counted.write()
    assert counted.values(1) == [3, 2], "the write was carried out although no answer came"
    counted.server.clear_faults()
    counted.numbers[1] = {"cod": 8, "crab": 9}
    record = counted.write()
    assert record["people"] == {}
    assert counted.values(1) == [8, 9]


def test_an_edit_right_after_the_write_is_kept_by_the_next_run(counted, monkeypatch):
    write = Project.set_attributes

    def with_an_edit(self, *arguments, **more):
        write(self, *arguments, **more)
        counted.edit(1, **{COD: 44})

    with monkeypatch.context() as patch:
        patch.setattr(Project, "set_attributes", with_an_edit)
        assert "does not keep" in counted.write()["failed"]["1"]
    assert counted.write()["people"] == {"1": [COD]}
    assert counted.values(1) == [44, 2]


def test_an_edit_between_the_listing_and_the_write_stays(counted, monkeypatch):
    """Values that were listed a while ago are listed again right before they are replaced."""
    begin = WrittenValues.begin

    def with_an_edit(self, changes):
        begin(self, changes)
        if changes.get(1, {}).get(COD) == 3:
            counted.edit(1, **{COD: 44})

    monkeypatch.setattr(media_attributes, "READ_AGAIN_SECONDS", -1)
    monkeypatch.setattr(WrittenValues, "begin", with_an_edit)
    record = counted.write()
    assert (record["people"], record["failed"], record["media_ids"]) == ({"1": [COD]}, {}, [1, 2])
    assert counted.values(1) == [44, 2], "its other count is written"
    assert counted.values(2) == [0, 5]


@pytest.mark.parametrize("attributes", [{"cod": COD, "crab": CRAB}, {"cod": COD}], ids=["both", "one"])
def test_an_edit_while_a_write_is_retried_stays(counted, attributes):
    """The answer was lost, or none came: the value is read again before each further try."""
    counted.media_ids = [1]
    for fault in ({"kind": "slow", "seconds": 1}, {"kind": "status", "status": 503}):
        counted.server.fault(**fault, operation="UpdateMediaList")
    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(counted.write, attributes=attributes)
        until(counted.write_requests)
        counted.edit(1, **{COD: 44})
        record = written.result()
    assert (record["people"], record["failed"], record["media_ids"]) == ({"1": [COD]}, {}, [1])
    assert counted.values(1) == [44, 2 if CRAB in attributes.values() else -1]
