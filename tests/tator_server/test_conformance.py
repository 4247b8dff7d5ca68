"""Recorded answers of a real Tator 1.5, compared with the stand-in.

`tests/data/tator-recordings.json` has requests and answers in the order in which they were recorded. All are replayed
in this order on a server with the same project, types and media; the sequences of ids are set to those of the real
server, so that answers are equal in every value except times and signatures.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from . import seed
from .app import api_app
from .faults import Faults
from .presigned import Addresses, store_app
from .request_log import RequestLog
from .store import Record, Store

RECORDINGS: list[Record] = json.loads(
    (Path(__file__).parents[1] / "data" / "tator-recordings.json").read_text(encoding="utf-8")
)
NAMES = [f"{number:02} {recording['what']}" for number, recording in enumerate(RECORDINGS)]

ADMIN, EDITOR = "a" * 40, "e" * 40
VIDEO_KEY = "4/3/2/144_koAnPhZarU.mp4"
TIMES = {"created_datetime", "modified_datetime", "archive_status_date"}


def recorded(what: str) -> Any:
    """Return the answer of the first recording of that name."""
    return next(recording["answer"] for recording in RECORDINGS if recording["what"] == what)


def number_of(what: str) -> int:
    return next(number for number, recording in enumerate(RECORDINGS) if recording["what"] == what)


class Replay:
    """A server with the recorded project, to which recorded requests are sent."""

    def __init__(self, folder: Path) -> None:
        (folder / "media").mkdir()
        self.store = Store(folder / "state", folder / "media")
        addresses = Addresses(self.store, "http://store")
        faults, log = Faults(), RequestLog()
        self.api = api_app(self.store, addresses, faults, log)
        self.objects = store_app(self.store, addresses, faults, log)
        self._fill()
        self.address = addresses.sign(VIDEO_KEY, 3600).removeprefix("http://store")

    def _fill(self) -> None:
        add = self.store.add
        add("user", {**recorded("who"), "token": ADMIN}, id=1)
        add("user", {**recorded("who"), "username": "editor", "token": EDITOR}, id=2)
        for number, permissions in ((3, {"1": "Full Control", "2": "Can Edit"}), (4, {"1": "Full Control"})):
            add("project", {"name": "x", "permissions": permissions}, id=number)
        video = recorded("media type")
        for number, dtype in ((7, "video"), (8, "image"), (9, "multi"), (10, "live"), (13, "video")):
            add("media_type", {**video, "dtype": dtype}, id=number)
        add("media_type", {**video, "project": 4}, id=12)
        for record in recorded("localization types"):
            add("localization_type", record, id=record["id"])
        versions = recorded("versions")
        for record in versions[:2]:
            add("version", record, id=record["id"])
        add("version", {**versions[1], "name": "third", "number": 2}, id=7)
        media = [
            r["answer"] for r in RECORDINGS if re.fullmatch(r"GET /rest/Media/\d+", r["request"]) and r["status"] == 200
        ]
        video1 = next(record for record in media if record["id"] == 2)
        others = [{**video1, "id": 3, "name": "video2.mp4"}, {**video1, "id": 5, "project": 4, "type": 12}]
        for record in {record["id"]: record for record in (*media, *others)}.values():
            add("media", {**record, "deleted": False}, id=record["id"])
        self.file = bytes(number % 251 for number in range(35119))
        (self.store.folders["media"] / "file").write_bytes(self.file)
        self.store.execute("INSERT INTO object VALUES (?, 'media', 'file', ?, ?)", VIDEO_KEY, len(self.file), "e" * 32)

    def set_sequence(self, kind: str, next_id: int) -> None:
        """Make `next_id` the next id of a kind."""
        self.store.execute("DELETE FROM sqlite_sequence WHERE name = ?", kind)
        self.store.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", kind, next_id - 1)

    def before(self, number: int) -> None:
        """Make the changes between two recordings that were not recorded."""
        steps: dict[int, Callable[[], object]] = {
            number_of("create a version"): lambda: self.set_sequence("version", 8),
            number_of("create two boxes"): lambda: self.set_sequence("localization", 32336),
            number_of("create three boxes") - 1: lambda: self.set_sequence("version", 11),
            number_of("create three boxes"): lambda: self.set_sequence("localization", 32361),
            number_of("delete an empty version"): lambda: self.store.execute(
                "DELETE FROM localization WHERE version=11"
            ),
        }
        steps.get(number, lambda: None)()

    def ask(self, recording: Record) -> TestResponse:
        what = recording["what"]
        method, address = recording["request"].split(" ", 1)
        if address == "<presigned address>":
            return self._call(self.objects, method, self.address, headers=recording["body"])
        token = {"wrong token": "f" * 40, "no token": None}.get(what, EDITOR if "another user" in what else ADMIN)
        body = recording["body"]
        if body == "(long)":
            body = [recorded_box()] * 501
        if body == {"keys": ["<path of a media file>"]}:
            body = {"keys": [VIDEO_KEY]}
        headers = {"Authorization": f"Token {token}"} if token else {}
        return self._call(self.api, method, address, headers=headers, json=body)

    @staticmethod
    def _call(app: Flask, method: str, address: str, **settings: Any) -> TestResponse:
        body = settings.pop("json", None)
        if body is not None:  # as text, because Flask's client would sort the keys
            settings |= {"data": json.dumps(body), "content_type": "application/json"}
        return app.test_client().open(address, method=method, **settings)


def recorded_box() -> Record:
    """Return the box that the recorded request had 501 times."""
    fractions = {"x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2}
    return {"type": 3, "media_id": 2, "frame": 0, **fractions, "version": 8,
            "attributes": {"Species": "fish", "Confidence": 0.5}}  # fmt: skip


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[TestResponse]]:
    """Replay all recordings, in order."""
    replay = Replay(tmp_path_factory.mktemp("replay"))
    found = []
    for number, recording in enumerate(RECORDINGS):
        replay.before(number)
        found.append(replay.ask(recording))
        found[-1].get_data()
    yield found
    replay.store.close()


def plain(answer: Any) -> Any:
    """Return an answer without values that differ each time: times become their type."""
    if isinstance(answer, list):
        return [plain(part) for part in answer]
    if isinstance(answer, dict):
        return {key: type(value) if key in TIMES else plain(value) for key, value in answer.items()}
    if isinstance(answer, str):
        return re.sub(r"(http://store/[^?]*\?).*", r"\1<signature>", answer)
    return answer


@pytest.mark.parametrize("number", range(len(RECORDINGS)), ids=NAMES)
def test_the_answer_equals_the_recorded_one(number: int, answers: list[TestResponse]) -> None:
    recording, answer = RECORDINGS[number], answers[number]
    expected = recording["answer"]

    assert answer.status_code == recording["status"], answer.text[:500]
    if recording["what"].startswith("download: "):
        compare_headers(answer, expected)
    elif isinstance(expected, str):  # shortened when it was recorded
        assert json.dumps(answer.json, ensure_ascii=False).startswith(expected.removesuffix("..."))
    elif recording["what"] == "unknown address":
        head = expected["(not JSON)"][: expected["(not JSON)"].index("<link")].strip()
        assert not answer.is_json
        assert " ".join(answer.text.split()).startswith(" ".join(head.split()))
    elif isinstance(expected, list) and isinstance(expected[-1], str):
        total = int(re.fullmatch(r"\.\.\. (\d+) in all", expected[-1])[1])
        assert len(answer.json) == total
        assert plain(answer.json[: len(expected) - 1]) == plain(expected[:-1])
    else:
        assert answer.is_json
        assert plain(answer.json) == plain(expected)


def compare_headers(answer: TestResponse, expected: dict[str, str | None]) -> None:
    """Compare a download's headers, except the length of an error text and the hash of the content."""
    for name, value in expected.items():
        found = answer.headers.get(name)
        if name == "ETag" and value is not None:
            assert re.fullmatch(r'"[0-9a-f]{32}"', found)
        elif name != "Content-Length" or answer.status_code != 416:
            assert found == value, name


def test_a_range_has_the_right_bytes(tmp_path: Path) -> None:
    replay = Replay(tmp_path)
    answer = replay.objects.test_client().get(replay.address, headers={"Range": "bytes=1000-"})
    assert answer.data == replay.file[1000:]
    tail = replay.objects.test_client().get(replay.address, headers={"Range": "bytes=-10"})
    assert tail.data == replay.file[-10:]
    replay.store.close()


class TestSeeded:
    """Objects that the server makes have the keys and types of recorded ones."""

    @pytest.fixture
    def fresh(self, media_folder: Path, tmp_path: Path) -> Iterator[Callable[[str], Any]]:
        from PIL import Image

        Image.new("RGB", (80, 60)).save(media_folder / "still.jpg")
        store = Store(tmp_path / "state", media_folder)
        seed.seed(store)
        seed.add_files(store, media_folder)
        app = api_app(store, Addresses(store, "http://store"), Faults(), RequestLog())
        token = store.find("user", seed.ADMIN)["token"]

        def get(path: str) -> Any:
            return app.test_client().get(path, headers={"Authorization": f"Token {token}"}).json

        yield get
        store.close()

    def shape(self, value: Any) -> Any:
        """Return the types of a record's values that are not null."""
        return {key: type(part) for key, part in value.items() if part is not None}

    @pytest.mark.parametrize(
        ("path", "what"),
        [
            ("/rest/User/GetCurrent", "who"),
            (f"/rest/MediaType/{seed.VIDEO_TYPE}", "media type"),
            ("/rest/Media/1", "media with archival copy"),
            ("/rest/Media/3", "an image"),
            (f"/rest/LocalizationTypes/{seed.PROJECT}", "localization types"),
            (f"/rest/Versions/{seed.PROJECT}", "versions"),
        ],
    )
    def test_record(self, fresh: Callable[[str], Any], path: str, what: str) -> None:
        found, expected = fresh(path), recorded(what)
        if isinstance(found, list):
            found, expected = found[0], expected[0]
        assert found.keys() == expected.keys()
        assert self.shape(found) == self.shape(expected)

    @pytest.mark.parametrize(
        ("number", "role", "what"), [(1, "archival", "media with archival copy"), (3, "image", "an image")]
    )
    def test_file_definition(self, fresh: Callable[[str], Any], number: int, role: str, what: str) -> None:
        found = fresh(f"/rest/Media/{number}")["media_files"][role][0]
        expected = recorded(what)["media_files"][role][0]
        assert self.shape(found) == self.shape(expected)
        assert found.keys() == expected.keys()
        assert len(found["resolution"]) == 2
