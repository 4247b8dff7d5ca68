"""Recorded answers of a real Tator 1.5 about rights, clones and references, compared with the stand-in.

`tests/data/tator-files-recordings.json` holds requests and answers in the order in which they were recorded. Ids of
media and projects differ here, so they are replaced in requests and answers alike.
"""

import json
import re
import secrets
from pathlib import Path
from typing import Any

import pytest
import requests

from .launch import Server
from .test_client import box

LISTED = json.loads((Path(__file__).parents[1] / "data" / "tator-files-recordings.json").read_text(encoding="utf-8"))
LEVELS = ("View Only", "Can Edit", "Can Transfer", "Can Execute", "Full Control")
REFERENCE = "http://<host:port>/pic.jpg"


def ask(server: Server, token: str, method: str, path: str, body: object = None) -> requests.Response:
    headers = {"Authorization": f"Token {token}"}
    return requests.request(method, f"{server.host}{path}", json=body, headers=headers, timeout=30)


@pytest.fixture
def people(server: Server) -> dict[str, str]:
    """Return a token for each level, and for a user who is not a member."""
    granted, tokens = {"1": "Full Control"}, {}
    for level in (*LEVELS, "no member"):
        tokens[level] = secrets.token_hex(20)
        person = {**server.all("user")[0], "username": level, "token": tokens[level]}
        person.pop("id")
        number = server.add("user", **person)
        if level in LEVELS:
            granted[str(number)] = level
    server.change("project", server.project_id, permissions=granted)
    server.change("project", server.foreign_project_id, permissions=granted)
    return tokens


@pytest.mark.parametrize(
    ("fine_grained", "recorded"),
    [(False, "who may do what, old permissions"), (True, "who may do what, fine-grain permissions on")],
)
def test_permissions_of_each_level(
    server: Server, people: dict[str, str], version: int, fine_grained: bool, recorded: str
) -> None:
    project, key = server.project_id, server.all("media")[0]["media_files"]["archival"][0]["path"]
    spec = [box(server, version)]
    number = ask(server, server.token, "POST", f"/rest/Localizations/{project}", spec).json()["id"][0]
    nothing = f"/rest/Localizations/{project}?version={version}&frame=99"
    marked = {"attributes": {"Notes": "x"}}
    requests_of = {
        "DownloadInfo": ("POST", f"/rest/DownloadInfo/{project}", {"keys": [key]}),
        "media presigned": ("GET", "/rest/Media/1?presigned=3600", None),
        "medias listed": ("GET", f"/rest/Medias/{project}", None),
        "media attribute patched": ("PATCH", "/rest/Media/1", marked),
        "medias patched": ("PATCH", f"/rest/Medias/{project}", {"ids": [1], **marked}),
        "boxes listed": ("GET", f"/rest/Localizations/{project}?version={version}", None),
        "boxes created": ("POST", f"/rest/Localizations/{project}", spec),
        "one box patched, new mark": ("PATCH", f"/rest/Localization/{number}", {"frame": 3}),
        "one box patched in place": ("PATCH", f"/rest/Localization/{number}", {"frame": 3, "in_place": 1}),
        "boxes deleted softly": ("DELETE", nothing, {}),
        "boxes pruned": ("DELETE", nothing, {"prune": 1}),
        "version created": ("POST", f"/rest/Versions/{project}", {"name": "new"}),
        "versions listed": ("GET", f"/rest/Versions/{project}", None),
        "project read": ("GET", f"/rest/Project/{project}", None),
    }
    expected = next(one for one in LISTED if one["what"].startswith(recorded))["answer"]["status by level"]
    assert requests_of.keys() == expected.keys()
    server.use_fine_grained_permissions(fine_grained)
    try:
        for name, (method, path, body) in requests_of.items():
            found = {level: str(ask(server, token, method, path, body).status_code) for level, token in people.items()}
            assert found == expected[name], name
        if fine_grained:
            path = f"/rest/Localizations/{project}?version={version}"
            assert ask(server, people["View Only"], "DELETE", path, {}).status_code == 403
    finally:
        server.use_fine_grained_permissions(False)


def test_clones_references_and_addresses(server: Server, people: dict[str, str]) -> None:
    """Send the recorded requests in their order, since cached addresses change later answers."""
    first, second = server.project_id, server.foreign_project_id
    path = server.all("media")[0]["media_files"]["archival"][0]["path"]
    picture = server.add_media(
        "ref.jpg",
        dtype="image",
        media_files={"image": [{"mime": "image/jpeg", "path": REFERENCE, "size": 134647, "resolution": [480, 640]}]},
    )
    numbers = {"2": first, "3": second}
    clone = 0
    recordings = [one for one in LISTED if one["request"] != "see answer"]
    assert len(recordings) == 19
    for one in recordings:
        method, address = one["request"].split(" ", 1)
        operation = address.split("/")[2]
        body = json.loads(json.dumps(one["body"]).replace("1/2/2/short_mJBIxYmxVL.mp4", path))
        if operation == "CloneMedia":
            address, body = f"/rest/CloneMedia/{first}?media_id=1", {"dest_project": second, "dest_type": 25}
        elif operation == "DownloadInfo":
            address = re.sub(r"(?<=DownloadInfo/)\d", lambda found: str(numbers[found[0]]), address)
            body = json.loads(re.sub(r'"1/2/(\d)/', rf'"1/{first}/\1/', json.dumps(body)))
        elif operation == "Media":
            number = {"274": clone, "275": picture, "3": 1}[re.search(r"Media/(\d+)", address)[1]]
            address = re.sub(r"Media/\d+", f"Media/{number}", address)
        else:
            address, body = f"/rest/Medias/{first}?presigned=3600", {"ids": [1]}
        token = people.get(one.get("as", ""), server.token)
        answer = ask(server, token, method, address, body)
        assert answer.status_code == one["status"], (one["what"], answer.text)
        found = answer.json()
        if operation == "CloneMedia":
            assert (found["message"], len(found["id"])) == (one["answer"]["message"], 1)
            [clone] = found["id"]
        elif operation in ("Media", "Medias"):
            ours, expected = (record[0] if isinstance(record, list) else record for record in (found, one["answer"]))
            assert kinds_of_path(ours, server.store) == kinds_of_path(expected, "http://store")
        elif answer.status_code == 201:
            assert [url["url"].startswith(server.store) for url in found] == [True] * len(one["answer"])
        else:
            assert found == one["answer"]


def kinds_of_path(media: dict[str, Any], store: str) -> set[str]:
    """Return the kinds of the paths of a media's files: the start of a key, "address", or "reference"."""
    roles = ("archival", "streaming", "image")
    paths = [file["path"] for role in roles for file in media["media_files"].get(role) or []]
    return {"reference" if path == REFERENCE else "address" if path.startswith(store) else path[:2] for path in paths}
