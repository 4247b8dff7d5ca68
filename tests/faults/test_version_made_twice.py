"""Two runs make the version at once, and one is committed seconds later: one version gets all boxes, each once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from scripts.lib.uploads.version_check import check_for_losses
from tests.faults.steps import until
from tests.faults.three_boxes import ROWS
from tests.scripts.tator_steps import Steps

NAME = "Survey"


@pytest.fixture
def late(steps, monkeypatch):
    """Return a run whose version is committed after that of the other run, although it has the lower id."""
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "3")
    kind = steps.add_track_type()
    steps.track_type = {"track_type_id": kind, "track_length_attribute": "Length"}
    return with_results(steps)


@pytest.fixture
def other(late):
    folder = late.folder.with_name("other")
    folder.mkdir()
    run = Steps(folder, late.server)
    run.track_type = late.track_type
    return with_results(run)


def with_results(run):
    run.resolve(1)
    run.detected(1, ROWS)
    run.tracked(1, ROWS[:2])
    return run


def prepare(run):
    return run.prepare(version=NAME, **run.track_type)["version_id"]


def versions(run):
    return sorted(one["id"] for one in run.api.get_version_list(run.server.project_id) if one["name"] == NAME)


def content(run):
    """Return the versions and frames of all boxes, and the versions and boxes of all tracks, of the media."""
    made, project = versions(run), run.server.project_id
    boxes = run.api.get_localization_list(project, media_id=[1], version=made, show_all_marks=1, show_deleted=1)
    tracks = run.api.get_state_list(project, media_id=[1], version=made, merge=0, show_all_marks=1, show_deleted=1)
    return sorted((one["version"], one["frame"]) for one in boxes), [
        (one["version"], len(one["localizations"])) for one in tracks
    ]


def all_in(version):
    return [(version, 0), (version, 1), (version, 2)], [(version, 2)]


def upload(run):
    run.upload(1)
    run.upload_tracks(1)


@pytest.fixture
def race(late, other):
    """Return a function that makes the late version, and before its commit the other one, and calls `meanwhile`."""

    def run(meanwhile):
        late.server.clear_requests()
        late.server.fault("late_commit", operation="CreateVersion", seconds=8)
        with ThreadPoolExecutor(1) as pool:
            making = pool.submit(prepare, late)
            until(lambda: late.server.requests("CreateVersion"))
            second = prepare(other)
            assert versions(other) == [second]
            meanwhile()
            first = making.result()
        assert versions(late) == [first, second]
        return first, second

    return run


@pytest.mark.parametrize("order", ["late", "other"])
def test_all_boxes_are_in_the_first_version_if_nothing_was_uploaded_before(late, other, race, order):
    first, _ = race(lambda: None)
    for run in (late, other) if order == "late" else (other, late):
        upload(run)
        assert content(late) == all_in(first)


def test_boxes_are_moved_if_the_other_run_has_uploaded_before(late, other, race):
    first, second = race(lambda: upload(other))
    assert content(late) == all_in(second)
    upload(late)
    assert content(late) == all_in(first)
    upload(other)
    assert content(late) == all_in(first)


def test_the_other_run_uses_the_first_version_the_next_time(late, other, race, monkeypatch):
    first, second = race(lambda: upload(other))
    tator, messages = {"host": late.server.host, "project_id": late.server.project_id}, []
    files = {name: other.folder / f"{name}.json" for name in ("destination", "summary", "memory")}

    def losses():
        return check_for_losses(tator, {"TATOR_AUTH_TOKEN": late.server.token}, warn=messages.append, **files)

    assert losses() == 1
    assert f"version {second} ('{NAME}') was made at the same moment as version {first}" in messages[0]
    assert prepare(other) == first
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "0")  # as if a long time had passed
    upload(other)
    assert content(late) == all_in(first)
    assert losses() == 1


def test_the_late_version_appears_while_the_other_run_uploads(late, other, race):
    late.server.fault("late_commit", operation="CreateLocalizationList", seconds=9)
    with ThreadPoolExecutor(1) as pool:
        uploads = []

        def meanwhile():
            uploads.append(pool.submit(other.upload, 1))
            until(lambda: late.server.requests("CreateLocalizationList"))

        first, _ = race(meanwhile)
        assert uploads[0].result()["boxes"] == 3
    other.upload_tracks(1)
    assert content(late) == all_in(first)


def test_an_edited_box_in_the_other_version_is_kept(late, other, race):
    first, second = race(lambda: upload(other))
    box = other.boxes()[0]
    other.api.update_localization(box["id"], {"x": 0.6})
    late.upload(1)
    boxes, _ = content(late)
    assert (second, 0) in boxes
    assert [one for one in boxes if one[0] == first] == all_in(first)[0]


def test_versions_of_one_name_made_at_different_times_are_left_alone(late, other):
    first = prepare(late)
    upload(late)
    other.api.update_version(first, {"name": "before"})
    second = prepare(other)
    upload(other)
    other.api.update_version(first, {"name": NAME})
    assert versions(late) == [first, second]
    prepare(late)
    upload(late)
    upload(other)
    boxes, _ = content(late)
    assert boxes == all_in(first)[0] + all_in(second)[0]


def test_a_version_chosen_by_its_id_is_used(late, other, race):
    _, second = race(lambda: None)
    other.prepare(version_id=second, **other.track_type)
    upload(other)
    assert content(late) == all_in(second)
