"""Known behaviour of a real Tator 1.5, beyond the recordings that other tests replay, tested on the stand-in."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from .launch import Server
from .states_replay import RECORDINGS as OF_STATES
from .test_client import box
from .test_recorded_faults import RECORDINGS as OF_FAULTS
from .test_recorded_outages import recorded
from .test_recorded_rights import ask, people

__all__ = ["people"]

IDENTITY = "fc576fad-da0b-4d8e-81e3-f2a60af245bf"
Rows = list[dict[str, Any]]


@pytest.fixture
def call(server: Server) -> Callable[..., Any]:
    """Return a function that sends a request as the admin, and returns the answer's JSON; errors fail the test."""

    def requested(method: str, path: str, body: object = None, *, status: int | None = None) -> Any:
        answer = ask(server, server.token, method, f"/rest/{path}", body)
        assert answer.status_code == status if status else answer.ok, answer.text
        return answer.json()

    return requested


@pytest.fixture
def track_type(server: Server, call: Callable[..., Any], request: pytest.FixtureRequest) -> int:
    spec = {**OF_STATES[0]["body"], "name": request.node.name, "media_types": [server.video_type_id]}
    return int(call("POST", f"StateTypes/{server.project_id}", spec)["id"])


@pytest.fixture
def doubled(server: Server, call: Callable[..., Any], version: int) -> Rows:
    """Make one box by two requests that do not see each other's box; return the rows."""
    boxes = f"Localizations/{server.project_id}"
    server.fault("late_commit", operation="CreateLocalizationList", seconds=0, times=2, together=2)
    with ThreadPoolExecutor(2) as pool:
        spec = [box(server, version, elemental_id=IDENTITY)]
        for one in [pool.submit(call, "POST", boxes, spec) for _ in range(2)]:
            one.result()
    return rows(call, server, version)


def rows(call: Callable[..., Any], server: Server, version: int, *, latest: bool = True, kind: str = "box") -> Rows:
    entity = "Localizations" if kind == "box" else "States"
    every = "" if latest else "&show_all_marks=1&show_deleted=1"
    found: Rows = call("GET", f"{entity}/{server.project_id}?version={version}{every}")
    return found


class TestDoubles:
    def test_one_row_is_removed_with_the_count_in_the_query(self, server, call, version, doubled) -> None:
        wrong, right = (OF_FAULTS[f"... cleaned: one id, prune, {count}"] for count in
                        ("wrong count", "count 1, show_all_marks"))  # fmt: skip
        body = {"ids": [doubled[1]["id"]], "prune": 1}
        for one in (wrong, right):
            query = one["request"].partition("?")[2].replace("version=87", f"version={version}")
            path = f"Localizations/{server.project_id}?{query}"
            assert call("DELETE", path, body, status=one["status"]) == one["answer"]
        assert [row["id"] for row in rows(call, server, version, latest=False)] == [doubled[0]["id"]]
        call("POST", f"Localizations/{server.project_id}", [box(server, version, elemental_id=IDENTITY)])
        assert [row["mark"] for row in rows(call, server, version)] == [1]

    @pytest.mark.parametrize("which", [0, 1])
    @pytest.mark.parametrize("change", ["posted again", "edited by its id"])
    def test_one_more_mark_hides_both(self, server, call, version, doubled, change, which) -> None:  # noqa: PLR0917
        assert [(row["elemental_id"], row["mark"]) for row in doubled] == [(IDENTITY, 0)] * 2
        if change == "posted again":
            call("POST", f"Localizations/{server.project_id}", [box(server, version, elemental_id=IDENTITY)])
        else:
            call("PATCH", f"Localization/{doubled[which]['id']}", {"x": 0.7})
        assert [row["mark"] for row in rows(call, server, version)] == [1]
        assert [row["mark"] for row in rows(call, server, version, latest=False)] == [0, 0, 1]

    def test_soft_deletion_makes_two_tombstones(self, server, call, version, doubled) -> None:
        one = OF_FAULTS["two rows of mark 0: deleted softly by elemental_ids"]
        path = f"Localizations/{server.project_id}?version={version}&count=2"
        assert call("DELETE", path, {"elemental_ids": [IDENTITY]}) == one["answer"]
        every = rows(call, server, version, latest=False)
        shown = [(row["mark"], row["variant_deleted"]) for row in one["database"]]
        assert [(row["mark"], row["variant_deleted"]) for row in every] == sorted(shown)
        assert rows(call, server, version) == []

    def test_tracks_are_doubled_in_the_same_way(self, server, call, version, track_type) -> None:
        spec = [{"type": track_type, "version": version, "media_ids": [1], "elemental_id": IDENTITY}]
        server.fault("late_commit", operation="CreateStateList", seconds=0, times=2, together=2)
        with ThreadPoolExecutor(2) as pool:
            for one in [pool.submit(call, "POST", f"States/{server.project_id}", spec) for _ in range(2)]:
                one.result()
        doubles = rows(call, server, version, kind="state")
        recorded_ones = next(one for one in OF_STATES if one["what"].startswith("the same elemental_id posted twice"))
        assert {"answers": [201, 201], "rows": [[0, 0]] * 2, "listed": 2} in recorded_ones["answer"]
        assert [row["mark"] for row in doubles] == [0, 0]
        query = f"version={version}&show_all_marks=1&show_deleted=1&count=1"
        call("DELETE", f"States/{server.project_id}?{query}", {"ids": [doubles[1]["id"]], "prune": 1})
        assert [row["id"] for row in rows(call, server, version, kind="state")] == [doubles[0]["id"]]


class TestTwoVersions:
    """In lists of two or more versions, rows that are parents of others are left out, unless `merge=0`."""

    @pytest.fixture
    def ids(self, server, call, version, track_type) -> dict[str, tuple[str, int, int]]:
        """Make a box and a track in a version, and a clone of each in another; return (versions, parent, clone)."""
        project = server.project_id
        other = call("POST", f"Versions/{project}", {"name": "other"})["id"]
        [parent] = call("POST", f"Localizations/{project}", [box(server, version)])["id"]
        [clone] = call("POST", f"Localizations/{project}", [box(server, other, parent=parent)])["id"]
        spec = {"type": track_type, "media_ids": [1]}
        [track] = call("POST", f"States/{project}", [{**spec, "version": version}])["id"]
        [other_track] = call("POST", f"States/{project}", [{**spec, "version": other, "parent": track}])["id"]
        both = f"{version},{other}"
        return {"Localization": (both, parent, clone), "State": (both, track, other_track)}

    @pytest.mark.parametrize("entity", ["Localization", "State"])
    def test_merge(self, server, call, version, entity: str, ids) -> None:
        both, parent, clone = ids[entity]
        path = f"{entity}s/{server.project_id}"

        def found(query: str) -> list[int]:
            return [row["id"] for row in call("GET", f"{path}?{query}")]

        assert found(f"version={both}") == found(f"version={both}&merge=1") == [clone]
        assert found(f"version={both}&merge=0") == [parent, clone]
        assert found(f"version={version}") == found(f"version={version}&merge=1") == [parent]
        assert {parent, clone} <= set(found(""))
        assert call("GET", f"{entity}Count/{server.project_id}?version={both}") == 1
        assert call("GET", f"{entity}Count/{server.project_id}?version={both}&merge=0") == 2
        body = {"prune": 1, "count": 2}
        refused = call("DELETE", f"{path}?version={both}", body, status=400)
        assert refused == next(
            one["answer"] for one in OF_STATES if one["what"].startswith("deleted over two versions")
        )
        call("DELETE", f"{path}?version={both}&merge=0", body)
        assert found(f"version={both}&merge=0") == []


def test_filters_shorten_the_lists_of_a_track(server, call, version, track_type) -> None:
    project, media = server.project_id, server.add_media("second.mp4")
    specs = [box(server, version, media_id=number) for number in (1, media)]
    boxes = call("POST", f"Localizations/{project}", specs)["id"]
    spec = {"type": track_type, "version": version, "media_ids": [1, media], "localization_ids": boxes}
    [number] = call("POST", f"States/{project}", [spec])["id"]
    path, whole = f"States/{project}?version={version}", (boxes, [1, media])
    for query, body, expected in (
        (f"&related_id={boxes[0]}", None, (boxes[:1], [1, media])),
        ("&media_id=1", None, (boxes, [1])),
        (f"&media_id=1,{media}", None, whole),
        ("", {"localization_ids": boxes[1:]}, (boxes[1:], [1, media])),
        ("", {"media_ids": [media]}, (boxes, [media])),
        ("", {"ids": [number]}, whole),
        ("", {"media_ids": [], "localization_ids": []}, whole),
    ):
        [row] = call("PUT" if body else "GET", path + query, body)
        assert (row["id"], row["localizations"], row["media"]) == (number, *expected), query or body


def test_versions_with_tracks_cannot_be_deleted_before_the_tracks(server, call, version, track_type) -> None:
    project = server.project_id
    boxes = call("POST", f"Localizations/{project}", [box(server, version), box(server, version, frame=1)])["id"]
    track = {"type": track_type, "version": version, "media_ids": [1], "localization_ids": boxes}
    call("POST", f"States/{project}", [track])
    of_both, of_tracks = (one["answer"] for one in OF_STATES if re.search("version that has .*states", one["what"]))
    assert call("DELETE", f"Version/{version}", status=400) == of_both
    call("DELETE", f"Localizations/{project}?version={version}&count=2", {})
    assert call("DELETE", f"Version/{version}", status=400) == of_tracks
    call("DELETE", f"States/{project}?version={version}&count=1", {})
    call("DELETE", f"Version/{version}")
    assert rows(call, server, version, latest=False, kind="state") == []


def test_attributes_of_tracks_over_time(server, call, version, track_type) -> None:
    """As attributes of boxes, also of old marks."""
    path, kind = f"States/{server.project_id}", {"entity_type": "StateType"}
    [number] = call("POST", path, [{"type": track_type, "version": version, "media_ids": [1]}])["id"]
    call("PATCH", f"State/{number}", {"attributes": {"Length": 4}})

    def changed(method: str, **body: Any) -> list[Any]:
        call(method, f"AttributeType/{track_type}", {**kind, **body})
        return [row["attributes"] for row in rows(call, server, version, latest=False, kind="state")]

    later = {"name": "Later", "dtype": "string"}
    assert [one["Later"] for one in changed("POST", addition={**later, "default": "d0"})] == ["d0", "d0"]
    update = {"current_name": "Later", "attribute_type_update": {**later, "default": "d1"}}
    assert [one["Later"] for one in changed("PATCH", **update)] == ["d0", "d0"]
    update = {"current_name": "Later", "attribute_type_update": {**later, "name": "Named", "default": "d1"}}
    assert [(one["Named"], "Later" in one) for one in changed("PATCH", **update)] == [("d0", False)] * 2
    assert not any("Named" in one for one in changed("DELETE", name="Named"))
    assert all("None" not in one for one in changed("POST", addition={"name": "None", "dtype": "float"}))


@pytest.mark.parametrize("level", ["View Only", "Can Edit", "no member"])
def test_tracks_with_fine_grained_permissions(server, call, people, version, track_type, level) -> None:  # noqa: PLR0917
    project = server.project_id
    spec = [{"type": track_type, "version": version, "media_ids": [1]}]
    [number] = call("POST", f"States/{project}", spec)["id"]
    rights = {"View Only": (200, 200, 400, 200, 403), "Can Edit": (200, 200, 400, 200, 200),
              "no member": (404, 403, 403, 403, 403)}[level]  # fmt: skip
    path = f"/rest/States/{project}"
    server.use_fine_grained_permissions()
    try:
        for (method, address), status in zip(
            [
                ("GET", f"/rest/State/{number}"),
                ("GET", f"{path}?version={version}"),
                ("GET", f"{path}?version={version}&elemental_id=hello"),
                ("DELETE", f"{path}?version={version}&type=999999"),
                ("DELETE", f"{path}?version={version}&count=1"),
            ],
            rights,
            strict=True,
        ):
            answer = ask(server, people[level], method, address, {} if method == "DELETE" else None)
            assert answer.status_code == status, (method, address, answer.text)
            if status == 400:
                assert answer.json() == recorded("a malformed elemental_id with fine-grain permissions")["answer"]
            elif address.endswith("count=1") and level != "no member":
                assert answer.json() == recorded(f"fine-grain, {level}: a real track deleted softly")["answer"]
    finally:
        server.use_fine_grained_permissions(False)


def test_nan_is_written_into_lists(server, call, version) -> None:
    """As recorded: `"x":NaN`, which is not valid JSON, but which Python reads."""
    text = json.dumps([box(server, version), box(server, version, x=float("nan"))])
    headers = {"Authorization": f"Token {server.token}", "Content-Type": "application/json"}
    path = f"/rest/Localizations/{server.project_id}"
    requests.post(f"{server.host}{path}", data=text, headers=headers, timeout=30)
    headers = {"Authorization": f"Token {server.token}"}
    listed = requests.get(f"{server.host}{path}?version={version}", headers=headers, timeout=30).text
    written = recorded("a box whose x is NaN in the database")["answer"].strip(".").split(",")[2:3]
    assert written == ['"x":NaN']
    assert written[0] in listed.replace('": ', '":')
    assert [row["x"] == row["x"] for row in rows(call, server, version)] == [True, False]


def statuses_of_all(server: Server, call: Callable[..., Any], version: int, track_type: int) -> dict[str, int]:
    """Send the requests of the recorded sweeps; return their statuses by method and path."""
    project, statuses = server.project_id, {}
    key = server.all("media")[0]["media_files"]["archival"][0]["path"]
    track = {"type": track_type, "version": version, "media_ids": [1]}
    for method, path, body in (
        ("GET", f"Localizations/{project}?version={version}", None),
        ("PUT", f"Localizations/{project}?version={version}", {"media_ids": [1]}),
        ("POST", f"Localizations/{project}", [box(server, version)]),
        ("PATCH", f"Localizations/{project}?version={version}", {"attributes": {"Species": "x"}}),
        ("DELETE", f"Localizations/{project}?version={version}", {}),
        ("GET", f"LocalizationCount/{project}?version={version}", None),
        ("GET", "Media/1", None),
        ("PUT", f"Medias/{project}", {"ids": [1]}),
        ("PATCH", "Media/1", {"attributes": {"Notes": "x"}}),
        ("PATCH", f"Medias/{project}", {"ids": [1], "attributes": {"Notes": "x"}}),
        ("POST", f"DownloadInfo/{project}", {"keys": [key]}),
        ("GET", f"States/{project}?version={version}", None),
        ("POST", f"States/{project}", [track]),
        ("GET", "User/GetCurrent", None),
        ("GET", f"Versions/{project}", None),
        ("POST", f"Versions/{project}", {"name": "made meanwhile"}),
        ("GET", f"Algorithms/{project}", None),
        ("GET", "Media/1?presigned=3600", None),
        ("PUT", f"Medias/{project}?presigned=3600", {"ids": [1]}),
    ):
        answer = ask(server, server.token, method, f"/rest/{path}", body)
        statuses[f"{method} {path.partition('/')[0]}{'?presigned' if 'presigned' in path else ''}"] = answer.status_code
    return statuses


def test_without_the_database_every_operation_is_a_400(server, call, version, track_type) -> None:
    server.fault("outage", message="refused", times=None)
    statuses = statuses_of_all(server, call, version, track_type)
    assert (len(statuses), set(statuses.values())) == (19, {400})
    server.clear_faults()
    assert set(statuses_of_all(server, call, version, track_type).values()) == {200, 201}


def test_without_the_cache_only_addresses_are_a_400(server, call, version, track_type) -> None:
    server.fault("cache_down", times=None)
    statuses = statuses_of_all(server, call, version, track_type)
    assert {name for name, status in statuses.items() if status not in (200, 201)} == {
        "POST DownloadInfo", "GET Media?presigned", "PUT Medias?presigned",
    }  # fmt: skip
    refused = call("GET", "Media/1?presigned=3600", status=400)
    expected = recorded("Redis stopped: presigned")["answer"]
    assert {**refused, "message": refused["message"].replace("redis:6379", "<host:port>")} == expected


@pytest.mark.parametrize("links", [0, 3])
def test_connection_that_ends_while_links_are_written(server, call, version, track_type, links: int) -> None:
    """As recorded: the states exist with the links to boxes that were written, and without segments."""
    one = recorded("the database connection of a POST of 300 tracks of 20 boxes")["answer"][0]
    assert (one["rows before"], one["rows after"]) == ([0, 0], [300, 0])
    project = server.project_id
    boxes = call("POST", f"Localizations/{project}", [box(server, version, frame=n) for n in range(6)])["id"]
    track = {"type": track_type, "version": version, "media_ids": [1]}
    specs = [{**track, "localization_ids": boxes[at : at + 2]} for at in (0, 2, 4)]
    server.fault("cut_links", operation="CreateStateList", links=links)
    assert call("POST", f"States/{project}", specs, status=400) == one["answer"]
    left = rows(call, server, version, kind="state")
    assert [row["segments"] for row in left] == [None] * 3
    assert [len(row["localizations"]) for row in left] == {0: [0, 0, 0], 3: [2, 1, 0]}[links]
    assert [row["media"] for row in left] == [[1]] * 3
