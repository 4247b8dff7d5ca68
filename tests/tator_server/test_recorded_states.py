"""What a real Tator 1.5 answered about states (tracks), asked of the stand-in.

`tests/data/tator-states-recordings.json` holds requests and answers in the order in which they were recorded. Between
them boxes and tracks were made that were not recorded: these are put there as the recorded rows of the database show
them, and ids begin where the real server's stood.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from . import seed, state_rows
from .app import api_app
from .faults import Faults, RequestLog
from .presigned import Addresses
from .store import Record, Store, now

RECORDINGS: list[Record] = json.loads(
    (Path(__file__).parents[1] / "data" / "tator-states-recordings.json").read_text(encoding="utf-8")
)
PROJECT, TRACK = 39, 9
# Requests whose bodies were shortened in the recording, and those by filters that the stand-in says it does not have.
LEFT_OUT = {39, 40, 41, 65, 66, 77, 78}
SECTIONS = (range(4, 39), range(42, 80), range(91, 154), range(157, 170), range(199, 210))
ASKED = [number for section in SECTIONS for number in section if number not in LEFT_OUT]
# Tracks that were made before a recording, unrecorded: their ids, by the number of that recording.
MADE_BEFORE = {
    42: (522, 523, 524, 525), 91: (526,), 112: (536, 537, 538), 121: (546,), 136: (549, 550, 551, 552, 553, 554),
    161: (570,), 164: (572, 573), 199: (1821, 1822, 1823, 1824), 205: (1826,),
}  # fmt: skip
TIMES = re.compile(r"\d{4}-\d\d-\d\d[ T][\d:.+Z]+")


def row(number: int, version: int, boxes: range, **more: Any) -> Record:
    return {"id": number, "version": version, "localizations": list(boxes), "media": [267], **more}


# What no recorded row of the database shows.
KNOWN_ROWS = {
    522: row(522, 63, range(151681, 151682)),
    523: row(
        *(523, 64, range(151682, 151685)),
        attributes={"Species": "cod", "Length": 3},
        elemental_id="03e8b8b5-2e8e-4cce-8095-1a926b3db91c",
    ),
    524: row(
        *(524, 64, range(151685, 151688)),
        attributes={"Species": "crab", "Length": 5},
        elemental_id="59d55d9e-9757-427b-a46f-29d3e5d245cc",
    ),
    525: row(525, 64, range(151688, 151691), attributes={"Species": "cod", "Length": 7}, media=[268]),
    554: row(554, 70, range(151722, 151724), elemental_id="616510af-63a8-4cbd-b5c7-b7c70b7da841"),
    572: row(572, 74, range(151739, 151742)),
    573: row(573, 74, range(151742, 151745)),
    1821: row(1821, 81, range(151773, 151777), elemental_id="b8846c25-af16-4a91-a71e-c1d396b5fd52"),
    1822: row(1822, 81, range(151773, 151777), elemental_id="b8846c25-af16-4a91-a71e-c1d396b5fd52"),
    1823: row(1823, 81, range(151777, 151779), elemental_id="d4f4516d-4559-4d04-8c63-faef7108a8e8"),
    1824: row(1824, 81, range(151777, 151779), elemental_id="d4f4516d-4559-4d04-8c63-faef7108a8e8"),
    1826: row(1826, 81, range(151773, 151776), elemental_id="2265adae-8ffe-42f0-8895-2c1af8ac539d"),
}
NO_ID = "00000000-0000-4000-8000-{:012d}"


def recorded_rows() -> Iterator[Record]:
    """Yield the rows of states and boxes that recordings show."""
    for recording in RECORDINGS:
        shown = recording.get("database")
        for one in shown if isinstance(shown, list) else [(shown or {}).get("newest")]:
            if isinstance(one, dict) and "id" in one:
                yield one


def frames() -> dict[int, int]:
    """Return the frame of each box that was there before, as far as segments and rows tell."""
    found = {box: box - 151730 for box in range(151730, 151738)}  # a person's, of whom it is not said
    for one in [*recorded_rows(), *KNOWN_ROWS.values()]:
        boxes, runs = one.get("localizations") or [], one.get("segments")
        if "frame" in one and "x" in one:
            found.setdefault(one["id"], one["frame"])
        elif runs and None not in runs[0]:
            inside = [frame for first, last in runs for frame in range(first, last + 1)]
            if len(inside) == len(boxes):
                found |= {box: frame for box, frame in zip(boxes, inside, strict=True) if box not in found}
        elif runs is None and boxes:
            start = 4 if boxes[0] == 151777 else 3 if boxes[0] == 151742 else 0
            found |= {box: start + at for at, box in enumerate(boxes) if box not in found}
    return found


class Replay:
    """A server with the recorded project."""

    def __init__(self, folder: Path) -> None:
        (folder / "media").mkdir()
        self.store = Store(folder / "state", folder / "media")
        self.api = api_app(self.store, Addresses(self.store, "http://store"), Faults(), RequestLog())
        self._rows = {one["id"]: one for one in reversed(list(recorded_rows())) if "localizations" in one} | KNOWN_ROWS
        add = self.store.add
        add("user", {"username": "admin", "token": "a" * 40}, id=1)
        add("project", {"name": "x", "permissions": {"1": "Full Control"}}, id=PROJECT)
        for number in (46, 47):
            add("media_type", seed.media_type(PROJECT, "Video", "video"), id=number)
        kind = seed.localization_type(PROJECT, "Boxes", "box", [46, 47])
        add("localization_type", kind, id=44)
        for number in (267, 268):
            add("media", {"project": PROJECT, "type": 46, "name": f"{number}.mp4", "deleted": False}, id=number)
        for number in range(61, 90):
            add("version", {"project": PROJECT, "name": str(number), "number": number - 61}, id=number)
        for number in range(4):  # which makes the types
            self.set_sequence("state_type", 9 + number)
            assert self.ask(number).status_code == 201
        at = frames()
        created = {one for r in RECORDINGS for one in ids_made(r, "Localization")}
        for box in sorted(at.keys() - created):
            shape = json.dumps({"x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2})
            self.store.execute(
                "INSERT INTO localization (id, project, type, media, version, elemental_id, mark, frame, shape,"
                " attributes, created_by, created_datetime, modified_by, modified_datetime)"
                " VALUES (?, ?, 44, 267, ?, ?, 0, ?, ?, ?, 1, ?, 1, ?)",
                *(box, PROJECT, self._version_of(box), self._elemental_id(box), at[box], shape),
                *(json.dumps({"Species": "cod", "Confidence": 0.5}), now(), now()),
            )
        self.set_sequence("state", 5)

    def _version_of(self, box: int) -> int:
        shown = (one["version"] for one in recorded_rows() if one["id"] == box and "x" in one)
        holding = (one["version"] for one in self._rows.values() if box in (one.get("localizations") or ()))
        return next(shown, next(holding, 62))

    @staticmethod
    def _elemental_id(box: int) -> str:
        shown = (one["elemental_id"] for one in recorded_rows() if one["id"] == box and "x" in one)
        return next(shown, NO_ID.format(box))

    def set_sequence(self, kind: str, next_id: int) -> None:
        self.store.execute("DELETE FROM sqlite_sequence WHERE name = ?", kind)
        self.store.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", kind, next_id - 1)

    def before(self, number: int) -> None:
        """Make what was made unrecorded, and let ids begin as they did."""
        for one in MADE_BEFORE.get(number, ()):
            known = self._rows[one]
            self.set_sequence("state", one)
            kinds = (self.store.find("state_type", TRACK) or {})["attribute_types"]
            defaults = {kind["name"]: kind["default"] for kind in kinds if "default" in kind}
            row = {"project": PROJECT, "type": TRACK, "version": known["version"], "variant_deleted": False,
                   "elemental_id": known.get("elemental_id", NO_ID.format(one)), "frame": None, "parent": None,
                   "attributes": defaults | known.get("attributes", {}), "created_by": 1, "modified_by": 1}  # fmt: skip
            made = state_rows.add_mark(self.store, row)
            state_rows.add_media(self.store, made, known["media"])
            state_rows.add_boxes(self.store, made, known["localizations"])
            state_rows.renew_segments(self.store, made)
        for kind in ("State", "Localization"):
            for first in ids_made(RECORDINGS[number], kind)[:1]:
                self.set_sequence(kind.lower(), first)

    def ask(self, number: int) -> Any:
        method, address = RECORDINGS[number]["request"].split(" ", 1)
        body = RECORDINGS[number]["body"]
        content = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        headers = {"Authorization": f"Token {'a' * 40}"}
        return self.api.test_client().open(address, method=method, headers=headers, **content)


def ids_made(recording: Record, kind: str) -> list[int]:
    """Return the ids that a recorded request gave to new rows of a kind."""
    method, address = recording["request"].split(" ", 1)
    answer = recording["answer"]
    body = recording["body"] if isinstance(recording["body"], dict) else {}
    if body.get("in_place") or body.get("prune"):
        return []
    if not isinstance(answer, dict) or not re.match(rf"/rest/{kind}s?/", address):
        return []
    if method == "POST" and isinstance(answer.get("id"), list):
        return [one for one in answer["id"] if isinstance(one, int)]
    if method == "PATCH" and "object" in answer:
        return [answer["object"]["id"]]
    return [answer["id"]] if method == "DELETE" and isinstance(answer.get("id"), int) else []


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Any]]:
    """Replay what is asked, in order."""
    replay = Replay(tmp_path_factory.mktemp("replay"))
    found = {}
    for number in ASKED:
        replay.before(number)
        answer = replay.ask(number)
        found[number] = answer.status_code, answer.get_data(as_text=True)
    yield found
    replay.store.close()


def plain(answer: Any) -> Any:
    """Return an answer without times, generated ids, and what a database prints of a failing row."""
    if isinstance(answer, list):
        return [plain(one) for one in answer]
    if isinstance(answer, dict):
        return {key: plain(value) for key, value in answer.items()}
    if isinstance(answer, str):
        answer = re.sub(r"State [0-9a-f-]{36}@", "State <id>@", answer)
        answer = re.sub(r"for \w+/(?=[0-9a-f]{8}-)", "for <version>/", answer)
        return TIMES.sub("<time>", re.sub(r"Failing row contains \(.*\)", "Failing row contains (...)", answer))
    return answer


@pytest.mark.parametrize("number", ASKED, ids=[f"{one} {RECORDINGS[one]['what'][:60]}" for one in ASKED])
def test_the_answer_is_as_recorded(answers: dict[int, Any], number: int) -> None:
    recording, (status, text) = RECORDINGS[number], answers[number]
    assert status == recording["status"], text
    expected = recording["answer"]
    if expected == "HTML page: Not Found":
        assert "<title>Not Found</title>" in text
    elif expected == "":
        assert text == ""
    elif isinstance(expected, str) and expected.startswith("ids "):
        assert f"ids {[one['id'] for one in json.loads(text)]}" == expected
    else:
        given = plain(json.loads(text))
        assert subset(given, plain(expected)), f"{given}\n{plain(expected)}"


def test_a_refused_list_leaves_its_states_without_boxes(tmp_path: Path) -> None:
    replay = Replay(tmp_path)
    for number in range(7, 20):
        replay.before(number)
        replay.ask(number)
    for number in (18, 19):
        shown = RECORDINGS[number]["database"]["newest"]
        left = dict(replay.store.rows("SELECT * FROM state WHERE id = ?", shown["id"])[0])
        assert (left["segments"], left["mark"]) == (None, 0)
        assert state_rows.boxes_of(replay.store, shown["id"]) == (shown["localizations"] or [])
        media = replay.store.rows("SELECT media FROM state_media WHERE state = ?", shown["id"])
        assert [row["media"] for row in media] == (shown["media"] or [])
    replay.store.close()


def subset(given: Any, expected: Any) -> bool:
    """Whether an answer has all that was recorded, but for values that are another's each time."""
    if isinstance(expected, dict):
        return isinstance(given, dict) and all(
            key in given and (key in FREE or (key == RIGHTS and "x" in expected) or subset(given[key], expected[key]))
            for key in expected
            if key not in ABSENT
        )
    if isinstance(expected, list) and expected and SHORTENED.fullmatch(str(expected[-1])):
        return isinstance(given, list) and all(map(subset, given, expected[:-1]))
    if isinstance(expected, list):
        return isinstance(given, list) and len(given) == len(expected) and all(map(subset, given, expected))
    return bool(given == expected)


SHORTENED = re.compile(r"\.\.\. \d+ in all")
# Generated, or of boxes that were made unrecorded.
FREE = {"elemental_id", "x", "y", "width", "height"}
# Of a box's patch the stand-in says what other recordings do.
RIGHTS = "effective_permission"
ABSENT = {"user_elemental_id", "extended_info"}
