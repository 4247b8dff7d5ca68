"""Each kind of fault applies as ordered, and is listed."""

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
import tator
from flask import Flask, Response, request
from tator.exceptions import ApiException

from . import faults
from .launch import Server
from .request_log import RequestLog
from .store import HELD_BACK
from .test_client import box, drain


def address_of(api, media: int = 1) -> str:
    return api.get_media(media, presigned=600).media_files.archival[0].path


def test_throttling_is_a_400(server: Server, api) -> None:
    server.fault("throttle", times=2)
    for _ in range(2):
        with pytest.raises(ApiException, match=r"Request was throttled\. Expected available in 1 second.") as refused:
            api.get_media(1)
        assert refused.value.status == 400
    assert api.get_media(1).id == 1
    assert [entry["fault"] for entry in server.requests("GetMedia")] == ["throttle", "throttle", None]
    listed = server.faults()
    assert (listed["pending"], listed["fired"][0]["fired"]) == ([], 2)


def test_lost_answer_after_the_commit(server: Server, api, version: int) -> None:
    server.fault("drop_answer", operation="CreateLocalizationList")
    with pytest.raises(requests.ConnectionError):
        api.create_localization_list(server.project_id, body=[box(server, version)])
    assert api.get_localization_count(server.project_id, version=[version]) == 1
    assert server.requests("CreateLocalizationList")[0]["status"] is None


def test_reset_does_nothing(server: Server, api, version: int) -> None:
    server.fault("reset", operation="CreateLocalizationList")
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        api.create_localization_list(server.project_id, body=[box(server, version)])
    assert api.get_localization_count(server.project_id, version=[version]) == 0


@pytest.mark.parametrize("after", [False, True])
def test_status(server: Server, api, version: int, after: bool) -> None:
    server.fault("status", status=504, operation="CreateLocalizationList", after=after)
    with pytest.raises(ApiException) as failed:
        api.create_localization_list(server.project_id, body=[box(server, version)])
    assert failed.value.status == 504
    assert api.get_localization_count(server.project_id, version=[version]) == after


def test_html_instead_of_json(server: Server, api) -> None:
    server.fault("html")
    assert b"<html>" in api.get_media(1)  # the client returns the page


def test_slow(server: Server, api) -> None:
    server.fault("slow", seconds=0.5, operation="GetMedia")
    started = time.monotonic()
    assert api.get_media(1).id == 1
    assert time.monotonic() - started >= 0.5


def test_revoked_token(server: Server, api) -> None:
    server.fault("revoke_token", nth=2)
    api.get_media(1)
    for _ in range(3):
        with pytest.raises(ApiException, match="Invalid token"):
            api.get_media(1)
    server.clear_faults()
    api.get_media(1)


def test_cut_download_is_partial_and_resumable(server: Server, api, tmp_path: Path) -> None:
    whole = requests.get(address_of(api)).content
    server.fault("cut_download", after_bytes=1000)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(address_of(api))
    rest = requests.get(address_of(api), headers={"Range": "bytes=1000-"})
    assert (rest.status_code, rest.content) == (206, whole[1000:])
    server.fault("cut_download", times=None)
    assert 100 not in drain(api, api.get_media(1), tmp_path / "out.mp4")  # no error, as with a real server
    assert len(server.requests("Download")) == 3 + 10


def test_a_short_body_has_a_content_length_of_its_size(server: Server, api, tmp_path: Path) -> None:
    server.fault("short_body", after_bytes=10, times=None)
    media = api.get_media(1)
    assert drain(api, media, tmp_path / "out.mp4")[-1] == 100
    assert (tmp_path / "out.mp4").stat().st_size == 10 < media.media_files.archival[0].size


def test_wrong_bytes(server: Server, api, tmp_path: Path) -> None:
    server.fault("wrong_bytes")
    media = api.get_media(1)
    drain(api, media, tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").stat().st_size == media.media_files.archival[0].size
    assert tator.util.md5sum(str(tmp_path / "out.mp4")) != media.md5


def test_expired_addresses_remain_expired_and_new_ones_are_valid(server: Server, api) -> None:
    server.fault("expire_addresses", nth=2)
    address = address_of(api)
    assert [requests.get(address).status_code for _ in range(3)] == [200, 403, 403]
    assert "Request has expired" in requests.get(address).text
    assert requests.get(address_of(api)).status_code == 200


def test_a_fault_of_one_media(server: Server, api) -> None:
    server.fault("status", status=500, media=2, times=None)
    server.fault("status", status=503, operation="Download", media=2)
    address = address_of(api, 1)
    assert requests.get(address).status_code == 200
    with pytest.raises(ApiException):
        api.get_media_list_by_id(server.project_id, {"ids": [1, 2]})
    with pytest.raises(ApiException):
        api.get_localization_list(server.project_id, media_id=[2])
    key = f"1/{server.project_id}/2/x.mp4"
    with pytest.raises(ApiException):
        api.get_download_info(server.project_id, {"keys": [key]})


def test_the_schema_has_no_fault_unless_named(server: Server) -> None:
    server.fault("status", times=None)
    tator.get_api(server.host, server.token)
    server.fault("status", operation="GetSchema")
    assert requests.get(f"{server.host}/schema/").status_code == 503


@pytest.mark.parametrize("order", [{"kind": "nope"}, {"kind": "slow", "second": 1}])
def test_unknown_orders_are_refused(server: Server, order: dict) -> None:
    with pytest.raises(ValueError, match=r"unknown settings|one of throttle"):
        server.fault(**order)


def test_odd_answer(server: Server, api) -> None:
    def answer() -> dict[int, dict]:
        headers = {"Authorization": f"Token {server.token}"}
        found = requests.get(f"{server.host}/rest/Medias/{server.project_id}", headers=headers)
        return {row["id"]: row for row in found.json()}

    order = {"operation": "GetMediaList", "path": ["id=2", "name"]}
    server.fault("odd_answer", json="[1]", **order)
    odd = answer()
    server.fault("odd_answer", **order)
    without, sound = answer(), answer()
    assert (odd[2]["name"], "name" in without[2]) == ([1], False)
    assert odd[1] == without[1] == sound[1]


def test_every_kind_of_fault_is_tested() -> None:
    files = [Path(__file__), Path(__file__).with_name("test_stated_facts.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    assert [kind for kind in faults.KINDS if f'fault("{kind}"' not in text] == []


def made_at_once(server: Server, api, version: int, identity: str) -> None:
    """Make one box by two requests that do not see each other's box."""
    with ThreadPoolExecutor(2) as pool:
        spec = [box(server, version, elemental_id=identity)]
        for done in [pool.submit(api.create_localization_list, server.project_id, body=spec) for _ in range(2)]:
            done.result()


def test_late_commits_make_two_rows(server: Server, api, version: int) -> None:
    """As recorded: both rows have mark 0 and are listed; one more mark hides both."""
    server.fault("late_commit", operation="CreateLocalizationList", seconds=0, times=2, together=2)
    identity, project = str(uuid.uuid4()), server.project_id
    made_at_once(server, api, version, identity)
    rows = api.get_localization_list(project, version=[version])
    assert [(row.elemental_id, row.mark) for row in rows] == [(identity, 0)] * 2
    assert api.get_localization_count(project, version=[version]) == 2
    everything = {"version": [version], "show_all_marks": 1, "show_deleted": 1}
    surplus = {"ids": [rows[1].id], "prune": 1}
    with pytest.raises(ApiException, match="expected 2 but would delete 1"):
        api.delete_localization_list(project, {**surplus, "count": 2}, **everything)
    api.delete_localization_list(project, {**surplus, "count": 1}, **everything)
    assert [row.id for row in api.get_localization_list(project, version=[version])] == [rows[0].id]


def test_versions_made_at_once(server: Server, api) -> None:
    """The version that is committed later has the lower id, and both have the same number."""
    project, made = server.project_id, {"name": str(uuid.uuid4())}
    server.fault("late_commit", operation="CreateVersion", seconds=2)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(api.create_version, project, made)
        while not server.requests("CreateVersion"):
            time.sleep(0.02)
        second = api.create_version(project, made).id
        first = late.result().id
    found = [one for one in api.get_version_list(project) if one.name == made["name"]]
    assert sorted(one.id for one in found) == [first, second]
    assert first < second
    assert len({one.number for one in found}) == 1


def test_uncommitted_boxes_are_not_visible(server: Server, api, version: int) -> None:
    server.fault("late_commit", operation="CreateLocalizationList", seconds=2)
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(api.create_localization_list, server.project_id, body=[box(server, version)])
        while not server.requests("CreateLocalizationList"):
            time.sleep(0.02)
        assert api.get_localization_count(server.project_id, version=[version]) == 0
        made.result()
    assert api.get_localization_count(server.project_id, version=[version]) == 1


def test_the_work_continues_after_the_connection_was_dropped(server: Server, api, version: int) -> None:
    server.fault("drop_and_go_on", operation="CreateLocalizationList", seconds=1)
    with pytest.raises(requests.ConnectionError):
        api.create_localization_list(server.project_id, body=[box(server, version)])
    assert api.get_localization_count(server.project_id, version=[version]) == 0
    time.sleep(1.5)
    assert api.get_localization_count(server.project_id, version=[version]) == 1


@pytest.mark.parametrize("message", faults.OUTAGE_MESSAGES)
@pytest.mark.parametrize("after", [False, True])
def test_outage(server: Server, api, version: int, message: str, after: bool) -> None:
    server.fault("outage", message=message, after=after, operation="CreateLocalizationList")
    with pytest.raises(ApiException) as failed:
        api.create_localization_list(server.project_id, body=[box(server, version)])
    answer = json.loads(failed.value.body)
    assert (failed.value.status, answer["message"]) == (400, faults.OUTAGE_MESSAGES[message])
    assert answer["details"] == ("None" if message in ("cache", "cache loading", "unknown") else answer["message"])
    assert api.get_localization_count(server.project_id, version=[version]) == after


@pytest.mark.parametrize("after_bytes", [None, 0])
def test_cut_list_has_status_200(server: Server, api, version: int, after_bytes: int | None) -> None:
    api.create_localization_list(server.project_id, body=[box(server, version)] * 3)
    server.fault("cut_list", operation="GetLocalizationList", after_bytes=after_bytes)
    address = f"{server.host}/rest/Localizations/{server.project_id}?version={version}"
    answer = requests.get(address, headers={"Authorization": f"Token {server.token}"})
    assert (answer.status_code, answer.headers["Content-Encoding"]) == (200, "gzip")
    assert (answer.text == "") == (after_bytes == 0)
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()


def test_a_list_is_endless_if_its_text_fills_the_buffer(server: Server, api, version: int) -> None:
    api.create_localization_list(server.project_id, body=[box(server, version)] * 3)
    address = f"{server.host}/rest/Localizations/{server.project_id}?version={version}&stop="
    known = {"Authorization": f"Token {server.token}"}
    length = len(requests.get(f"{address}10", headers=known).content)
    server.fault("endless_list", buffer=length, times=None)
    for stop in (10, 9):
        with pytest.raises(requests.exceptions.ConnectionError, match="timed out"):
            requests.get(f"{address}{stop}", headers=known, timeout=0.5)
    assert len(requests.get(f"{address}2", headers=known).json()) == 2
    assert len(requests.put(f"{address}10", headers=known, json={"media_ids": []}).json()) == 3


@pytest.mark.parametrize(("ordered", "listed"), [([], [True]), (["late_commit"], [False, True])])
def test_a_request_is_listed_once_its_faults_are_chosen_and_work_held_back_is_done(
    ordered: list[str], listed: list[bool]
) -> None:
    """What a test does after it has seen the request must not come before it."""
    log, orders, seen = RequestLog(), faults.Faults(), []

    def work() -> Response:
        seen.append(entry.listed)
        if wait := HELD_BACK.get():
            wait()
            seen.append(entry.listed)
        return Response()

    for kind in ordered:
        orders.order({"kind": kind, "seconds": 0})
    with Flask(__name__).test_request_context(), log.entry(request, "CreateVersion", set()) as entry:
        assert not entry.listed
        orders.play(entry, work, expire=lambda: None)
    assert seen == listed
