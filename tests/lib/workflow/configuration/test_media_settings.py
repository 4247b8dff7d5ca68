"""The media of a run in the settings: a list of ids, or a file of ids."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.lib.workflow.configuration import settings
from tests.lib.workflow.configuration.resolved_settings import refusal, resolve


@given(st.lists(st.integers(min_value=1, max_value=2**63 - 1), min_size=1))
def test_media_ids_keep_their_order_and_lose_only_duplicates(media_ids):
    found = resolve(environ={"TATOR_MEDIA_IDS": ",".join(map(str, media_ids))})["tator"]["media_ids"]
    assert found == list(dict.fromkeys(media_ids))


@pytest.mark.parametrize("value", [2.0, float("nan"), float("inf"), True, 10**30, -1, "~"])
def test_values_that_are_not_ids_are_refused(value):
    assert "tator.media_ids.0" in refusal({"tator": {"media_ids": [value]}})
    assert "tator.project_id" in refusal({"tator": {"project_id": value}})


@pytest.mark.parametrize("value", [2**63, 10**40, "9" * 19])
def test_an_id_too_large_for_the_database_is_refused_at_any_place_in_the_list(value):
    for media_ids in ([value], [5, value], [value, 5]):
        assert re.search(r"tator\.media_ids\.0: \d+ is too large", refusal({"tator": {"media_ids": media_ids}}))
    assert re.search(r"tator\.project_id: \d+ is too large", refusal({"tator": {"project_id": value}}))
    assert resolve({"tator": {"media_ids": [5, 2**63 - 1]}})["tator"]["media_ids"] == [5, 2**63 - 1]


def test_a_media_id_of_very_many_digits_is_refused():
    assert "tator.media_ids.0" in refusal(environ={"TATOR_MEDIA_IDS": "9" * 10_000})


def test_very_many_media_ids_are_checked_quickly():
    media_ids = list(range(100_000, 0, -1))
    started = time.process_time()
    assert (
        resolve(environ={"TATOR_MEDIA_IDS": ",".join(map(str, [*media_ids, *media_ids]))})["tator"]["media_ids"]
        == media_ids
    )
    text = refusal({"tator": {"media_ids": [*media_ids, *(f"x{media_id}" for media_id in media_ids), ["y"]]}})
    # Comparing every id with every other one would take minutes.
    assert time.process_time() - started < 5
    assert "'x100000' is invalid" in text
    assert len(text) < 10_000


def test_media_ids_from_a_file(tmp_path):
    path = tmp_path / "media.txt"
    path.write_text("5\n3 # again\n5\n")
    for found in (
        resolve({"tator": {"media_ids": [], "media_file": str(path)}}),
        resolve(environ={"TATOR_MEDIA_FILE": str(path)}),  # in place of the settings' media_ids
    ):
        assert (found["tator"]["media_ids"], found["tator"]["media_file"]) == ([5, 3], str(path))
    found = resolve({"tator": {"media_ids": [], "media_file": "none"}}, {"TATOR_MEDIA_IDS": "9"})
    assert (found["tator"]["media_ids"], found["tator"]["media_file"]) == ([9], None)


@pytest.mark.parametrize(
    ("config", "environ"),
    [({"tator": {"media_file": "x"}}, {}), ({}, {"TATOR_MEDIA_IDS": "1", "TATOR_MEDIA_FILE": "x"})],
)
def test_media_ids_and_a_media_file_together_are_refused(config, environ):
    assert "tator.media_ids, tator.media_file: both are set" in refusal(config, environ)


@pytest.mark.parametrize("name", ["~/media.txt", "~", "~someone/media.txt"])
def test_a_media_file_with_a_tilde_is_refused(name):
    text = refusal({"tator": {"media_ids": [], "media_file": name}})
    assert "~ is replaced by a shell only; expected the whole path" in text


def test_jobs_get_the_absolute_path_of_the_media_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "media.txt").write_text("5")
    environ: dict[str, str] = {}
    settings.export_to_jobs(resolve({"tator": {"media_ids": [], "media_file": "media.txt"}}), environ)
    assert environ == {"TATOR_MEDIA_FILE": str(tmp_path / "media.txt")}
    assert resolve(environ=environ)["tator"]["media_ids"] == [5]
