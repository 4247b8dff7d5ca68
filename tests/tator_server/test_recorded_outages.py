"""Recorded answers of a real Tator 1.5 without its database or cache, and to odd requests, compared with the stand-in.

`tests/data/tator-outages-recordings.json` holds requests and answers in the order in which they were recorded. The
workflow's classification of the recorded messages is tested as well.
"""

import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
import requests
import tator
from tator.exceptions import ApiException

from scripts.lib.server.faults import Ended, Refused, Transient, classified

from .faults import OUTAGE_MESSAGES
from .launch import Server
from .test_client import box
from .test_recorded_rights import ask, people

__all__ = ["people"]

LISTED: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "tator-outages-recordings.json").read_text(encoding="utf-8")
)
RECORDINGS = {one["what"]: one for one in LISTED}


def recorded(beginning: str) -> dict[str, Any]:
    return next(one for one in LISTED if one["what"].startswith(beginning))


def answers(one: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the 400s of a recording, which may have several answers."""
    each = one["answer"] if isinstance(one["answer"], list) else [{"status": one["status"], "answer": one["answer"]}]
    return [answer for answer in each if answer.get("status") == 400 and isinstance(answer.get("answer"), dict)]


REFUSED = {json.dumps(answer["answer"]): (one["what"], answer["answer"]) for one in LISTED for answer in answers(one)}
CHECKED = ("NaN", "hexadecimal UUID")
OUTAGES = [answer for _, answer in REFUSED.values() if not any(text in answer["message"] for text in CHECKED)]
CHECKS = [answer for _, answer in REFUSED.values() if any(text in answer["message"] for text in CHECKED)]


def normal(text: str) -> str:
    """Return a text with the placeholders of the recordings in place of a host and a port."""
    text = re.sub(r'at "[^"]+", port (\d+|<n>)', 'at "<host>", port <n>', text)
    return re.sub(r"connecting to [^ ]+\. ", "connecting to <host:port>. ", text)


def raise_as_classified(answer: dict[str, str]) -> None:
    def call() -> None:
        error = ApiException(status=400)
        error.body = json.dumps(answer)
        raise error

    classified("list media", "https://tator.example", call)


def test_all_kinds_were_recorded() -> None:
    assert (len(OUTAGES), len(CHECKS)) == (7, 2)


@pytest.mark.parametrize("answer", OUTAGES, ids=lambda answer: answer["message"][-40:].strip())
def test_recorded_outages_are_temporary_faults(answer: dict[str, str]) -> None:
    with pytest.raises(Ended) as fault:
        raise_as_classified(answer)
    assert fault.value.of_server


@pytest.mark.parametrize("answer", CHECKS, ids=lambda answer: answer["message"][:20])
def test_recorded_checks_are_refusals(answer: dict[str, str]) -> None:
    with pytest.raises(Refused):
        raise_as_classified(answer)


@pytest.mark.parametrize("answer", OUTAGES, ids=lambda answer: answer["message"][-40:].strip())
def test_the_stand_in_has_the_recorded_messages(server: Server, answer: dict[str, str]) -> None:
    message = next(name for name, text in OUTAGE_MESSAGES.items() if normal(text) == answer["message"])
    server.fault("outage", operation="GetVersionList", message=message)
    found = ask(server, server.token, "GET", f"/rest/Versions/{server.project_id}")
    assert found.status_code == 400
    assert {name: normal(text) for name, text in found.json().items()} == answer


@pytest.mark.parametrize(
    ("beginning", "operation", "method"),
    [
        ("the database connection of a POST of 500 boxes ended while its change log", "CreateLocalizationList", "POST"),
        ("a PATCH of many boxes in place, ended", "UpdateLocalizationList", "PATCH"),
        ("a prune of many boxes ended", "DeleteLocalizationList", "DELETE"),
    ],
)
def test_work_is_done_before_the_400(server: Server, version: int, beginning: str, operation: str, method: str) -> None:
    """As recorded, the rows after the request are those of a successful request."""
    first = next(one for one in recorded(beginning)["answer"] if one["status"] == 400)
    assert first["rows after"] - first["rows before"] in (500, 1500)
    path = f"/rest/Localizations/{server.project_id}"
    spec = [box(server, version, frame=frame) for frame in range(3)]
    if method != "POST":
        assert ask(server, server.token, "POST", path, spec).status_code == 201
    body: Any = spec
    if method == "PATCH":
        body = {"attributes": {"Species": "patchedx"}, "in_place": 1}
    elif method == "DELETE":
        body = {"prune": 1}
    server.fault("outage", operation=operation, message="closed", after=True)
    answer = ask(server, server.token, method, f"{path}?version={version}&show_all_marks=1", body)
    assert (answer.status_code, answer.json()) == (400, first["answer"])
    listed = ask(server, server.token, "GET", f"{path}?version={version}&show_all_marks=1").json()
    species = {one["attributes"]["Species"] for one in listed}
    assert (len(listed), species == {"patchedx"}) == {"POST": (3, False), "PATCH": (3, True), "DELETE": (0, False)}[
        method
    ]


def wire(server: Server, path: str) -> tuple[requests.Response, bytes, bool, str]:
    """Return an answer, its bytes on the wire, whether the gzip stream is complete, and its text."""
    headers = {"Authorization": f"Token {server.token}", "Accept-Encoding": "gzip"}
    with requests.get(f"{server.host}{path}", headers=headers, stream=True, timeout=30) as answer:
        raw = b"".join(answer.raw.stream(decode_content=False))
    unpacked = zlib.decompressobj(wbits=31)
    return answer, raw, unpacked.eof, unpacked.decompress(raw).decode(errors="replace")


@pytest.mark.parametrize(
    "cut",
    recorded("the database connection ended in the middle of a list of boxes")["answer"][:4],
    ids=lambda cut: f"{cut['text characters']} characters",
)
def test_a_list_without_its_end(server: Server, version: int, cut: dict[str, Any]) -> None:
    path = f"/rest/Localizations/{server.project_id}?version={version}"
    boxes = [box(server, version, frame=frame) for frame in range(20)]
    ask(server, server.token, "POST", f"/rest/Localizations/{server.project_id}", boxes)
    kept = min(cut["text characters"], 1500)
    server.fault("cut_list", operation="GetLocalizationList", after_bytes=kept)
    answer, raw, ended, text = wire(server, path)
    assert answer.status_code == cut["status"]
    assert {name: answer.headers.get(name) for name in cut["headers"]} == cut["headers"]
    assert (ended, bool(raw), len(text)) == (cut["gzip stream ended"], bool(cut["bytes on the wire"]), kept)
    assert text[:5] == cut["begins"][:5]
    # The client reads it without an error, and the workflow notices that it is incomplete.
    server.fault("cut_list", operation="GetLocalizationList", after_bytes=kept)
    api = tator.get_api(server.host, server.token)
    with pytest.raises(Transient):
        classified("list boxes", server.host, lambda: api.get_localization_list(server.project_id, version=[version]))


def test_unknown_field(server: Server, version: int) -> None:
    path = f"/rest/Localizations/{server.project_id}"
    spec = [box(server, version)]
    number = ask(server, server.token, "POST", path, spec).json()["id"][0]
    one = recorded("a list that fails before its first row")["answer"]
    answer, raw, ended, text = wire(server, f"{path}?version={version}&fields=bogus")
    assert {name: answer.headers.get(name) for name in one["headers"]} == one["headers"]
    assert (answer.status_code, len(raw), ended, text) == (
        one["status"],
        one["bytes on the wire"],
        False,
        one["begins"],
    )
    by_put = ask(server, server.token, "PUT", f"{path}?version={version}&fields=bogus", {"ids": [number]})
    assert by_put.status_code == RECORDINGS["the same by PUT"]["status"]
    assert by_put.text.startswith("<")


def test_malformed_elemental_id(server: Server) -> None:
    one = RECORDINGS["the same for boxes"]
    found = ask(server, server.token, "GET", f"/rest/Localizations/{server.project_id}?elemental_id=hello")
    assert (found.status_code, found.json()) == (one["status"], one["answer"])


def test_nan_in_an_attribute_stores_nothing(server: Server, version: int) -> None:
    one = RECORDINGS["NaN sent raw"]
    path = f"/rest/Localizations/{server.project_id}"
    spec = json.dumps([box(server, version, attributes={"Confidence": float("nan")})])
    headers = {"Authorization": f"Token {server.token}", "Content-Type": "application/json"}
    found = requests.post(f"{server.host}{path}", data=spec, headers=headers, timeout=30)
    assert found.status_code == one["status"]
    for text in (found.json()["message"], one["answer"]["message"]):
        assert text.startswith("invalid input syntax for type json\n")
        assert 'Token "NaN" is invalid.' in text
    assert ask(server, server.token, "GET", f"{path}?version={version}").json() == []


@pytest.mark.parametrize("level", ["Can Execute", "View Only"])
def test_effective_permission(server: Server, people: dict[str, str], version: int, level: str) -> None:
    one = next(
        each for each in LISTED if each["what"].startswith("effective_permission as listed") and each["as"] == level
    )
    path = f"/rest/Localizations/{server.project_id}"
    ask(server, server.token, "POST", path, [box(server, version)])
    listed = f"{path}?version={version}&fields=id,effective_permission&stop=1"
    assert ask(server, people[level], "GET", listed).json()[0]["effective_permission"] == 0
    server.use_fine_grained_permissions()
    try:
        found = ask(server, people[level], "GET", listed).json()[0]["effective_permission"]
    finally:
        server.use_fine_grained_permissions(False)
    assert found == one["answer"][0]["effective_permission"]


@pytest.mark.parametrize(
    ("level", "masks"),
    [
        ("View Only", (0x030303, 0x0303)),
        ("Can Edit", (0x1F1F1F, 0x1F1F)),
        ("Can Transfer", (0x1F1F5F, 0x1F1F)),
        ("Can Execute", (RECORDINGS["GET Media presigned, Can Execute"]["answer"]["effective_permission"], 0x1F1F)),
        ("Full Control", (0x3F9FDF, 0x1F9F)),
    ],
)
def test_effective_permission_of_each_level(
    server: Server, people: dict[str, str], version: int, level: str, masks: tuple[int, int]
) -> None:
    """Values that were not recorded follow from Tator's source, by the same rule as the recorded ones."""
    ask(server, server.token, "POST", f"/rest/Localizations/{server.project_id}", [box(server, version)])
    project = server.project_id
    listed = (f"/rest/Medias/{project}", f"/rest/Localizations/{project}?version={version}")
    server.use_fine_grained_permissions()
    try:
        one = ask(server, people[level], "GET", "/rest/Media/1?presigned=3600").json()
        found = [ask(server, people[level], "GET", path).json()[0] for path in listed]
    finally:
        server.use_fine_grained_permissions(False)
    assert [each["effective_permission"] for each in (one, *found)] == [masks[0], *masks]


@pytest.mark.parametrize("level", ["View Only", "Can Edit"])
@pytest.mark.parametrize("change", ["a real box deleted softly", "a real box pruned", "boxes patched"])
def test_changes_with_fine_grained_permissions(
    server: Server, people: dict[str, str], version: int, level: str, change: str
) -> None:
    one = RECORDINGS[f"fine-grain, {level}: {change}"]
    path = f"/rest/Localizations/{server.project_id}"
    number = ask(server, server.token, "POST", path, [box(server, version)]).json()["id"][0]
    identity = ask(server, server.token, "GET", f"/rest/Localization/{number}").json()["elemental_id"]
    method, body = one["request"].split(" ")[0], {**one["body"], "elemental_ids": [identity]}
    server.use_fine_grained_permissions()
    try:
        found = ask(server, people[level], method, f"{path}?version={version}&count=1", body)
    finally:
        server.use_fine_grained_permissions(False)
    assert (found.status_code, found.json()) == (one["status"], one["answer"])
