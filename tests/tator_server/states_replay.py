"""A server on which recorded requests to a real Tator 1.5 about states (tracks) are repeated.

`tests/data/tator-states-recordings.json` has requests and answers in the order in which they were recorded. Boxes and
tracks that were made between them were not recorded: they are added as the recorded rows of the database show them, and
ids start at those of the real server.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import seed, state_rows
from .app import api_app
from .faults import Faults
from .presigned import Addresses
from .request_log import RequestLog
from .store import Record, Store, now

RECORDINGS: list[Record] = json.loads(
    (Path(__file__).parents[1] / "data" / "tator-states-recordings.json").read_text(encoding="utf-8")
)
PROJECT, TRACK, OWNER = 39, 9, 12
PEOPLE = {1: "admin", 3: "View Only", 4: "Can Edit", 5: "no member"}
BOX_OF_OTHER_MEDIA = 151786
# Requests whose bodies were shortened in the recording, and requests with filters that the stand-in does not have.
LEFT_OUT = {39, 40, 41, 65, 66, 78}
SECTIONS = (range(4, 39), range(42, 84), range(90, 172), range(178, 197), range(199, 215), range(216, 225))
REPLAYED = [number for section in SECTIONS for number in section if number not in LEFT_OUT]
# Ids of tracks that were made before a recording without being recorded, by the number of the recording.
MADE_BEFORE = {
    42: (522, 523, 524, 525), 91: (526,), 112: (536, 537, 538), 121: (546,), 136: (549, 550, 551, 552, 553, 554),
    154: (562, 563, 564, 565), 161: (570,), 164: (572, 573), 170: (574,), 178: (580,), 199: (1821, 1822, 1823, 1824),
    205: (1826,), 214: (1832,), 216: (1836,),
}  # fmt: skip


def row(number: int, version: int, boxes: range, **more: Any) -> Record:
    return {"id": number, "version": version, "localizations": list(boxes), "media": [267], **more}


# Rows of the database that were not recorded.
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
    562: row(562, 70, range(151724, 151726), type=OWNER, elemental_id="fb9180cd-4cf3-4bc7-b816-0078096c82a0"),
    563: row(563, 70, range(151725, 151726), type=OWNER),
    564: row(564, 70, range(151727, 151728), type=OWNER, elemental_id="1b49b14a-d112-49a1-9c29-972d51092dbc"),
    565: row(565, 70, range(151728, 151730), type=OWNER),
    572: row(572, 74, range(151739, 151742)),
    573: row(573, 74, range(151742, 151745)),
    574: row(574, 74, range(151744, 151745), elemental_id="87b1bae2-1331-422f-bff7-f3d5c414d089"),
    580: row(580, 78, range(151751, 151753), elemental_id="4a9f821d-c63a-431d-80d4-7e8571981066"),
    1821: row(1821, 81, range(151773, 151777), elemental_id="b8846c25-af16-4a91-a71e-c1d396b5fd52"),
    1822: row(1822, 81, range(151773, 151777), elemental_id="b8846c25-af16-4a91-a71e-c1d396b5fd52"),
    1823: row(1823, 81, range(151777, 151779), elemental_id="d4f4516d-4559-4d04-8c63-faef7108a8e8"),
    1824: row(1824, 81, range(151777, 151779), elemental_id="d4f4516d-4559-4d04-8c63-faef7108a8e8"),
    1832: row(1832, 81, range(151785, 151786), elemental_id="6fedc9b3-3a22-45a5-a5c2-985bf09ac643"),
    1836: row(1836, 83, range(151791, 151793)),
    1826: row(1826, 81, range(151773, 151776), elemental_id="2265adae-8ffe-42f0-8895-2c1af8ac539d"),
}
NO_ID = "00000000-0000-4000-8000-{:012d}"


def recorded_rows() -> Iterator[Record]:
    """Yield the recorded rows of states and boxes."""
    for recording in RECORDINGS:
        shown = recording.get("database")
        for one in shown if isinstance(shown, list) else [(shown or {}).get("newest")]:
            if isinstance(one, dict) and "id" in one:
                yield one


def frames() -> dict[int, int]:
    """Return the frame of each box that existed before, as far as it follows from segments and rows."""
    found = {box: box - 151730 for box in range(151730, 151738)}  # boxes of a person, whose frames were not recorded
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
        for number, name in PEOPLE.items():
            add("user", {"username": name, "token": f"{number}" * 40}, id=number)
        add(
            "project",
            {"name": "x", "permissions": {"1": "Full Control", "3": "View Only", "4": "Can Edit"}},
            id=PROJECT,
        )
        for number in (46, 47):
            add("media_type", seed.media_type(PROJECT, "Video", "video"), id=number)
        kind = seed.localization_type(PROJECT, "Boxes", "box", [46, 47])
        add("localization_type", kind, id=44)
        for number in (267, 268):
            add("media", {"project": PROJECT, "type": 46, "name": f"{number}.mp4", "deleted": False}, id=number)
        for number in range(61, 90):
            add("version", {"project": PROJECT, "name": str(number), "number": number - 61}, id=number)
        for number in range(4):  # the requests that make the types
            self.set_sequence("state_type", 9 + number)
            assert self.ask(number).status_code == 201
        at = frames()
        created = {one for r in RECORDINGS for one in ids_made(r, "Localization")}
        for box in sorted(at.keys() - created):
            shape = json.dumps({"x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2})
            self.store.execute(
                "INSERT INTO localization (id, project, type, media, version, elemental_id, mark, frame, shape,"
                " attributes, created_by, created_datetime, modified_by, modified_datetime)"
                " VALUES (?, ?, 44, ?, ?, ?, 0, ?, ?, ?, 1, ?, 1, ?)",
                *(box, PROJECT, 268 if box == BOX_OF_OTHER_MEDIA else 267),
                *(self._version_of(box), self._elemental_id(box), at[box], shape),
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
        """Make the tracks that were not recorded, and set the next ids to those of the recording."""
        for one in MADE_BEFORE.get(number, ()):
            known = self._rows[one]
            self.set_sequence("state", one)
            entity_type = known.get("type", TRACK)
            kinds = (self.store.find("state_type", entity_type) or {})["attribute_types"]
            defaults = {kind["name"]: kind["default"] for kind in kinds if "default" in kind}
            row = {"project": PROJECT, "type": entity_type, "version": known["version"], "variant_deleted": False,
                   "elemental_id": known.get("elemental_id", NO_ID.format(one)), "frame": None, "parent": None,
                   "attributes": defaults | known.get("attributes", {}), "created_by": 1, "modified_by": 1}  # fmt: skip
            made = state_rows.add_mark(self.store, row)
            state_rows.add_media(self.store, made, known["media"])
            state_rows.add_boxes(self.store, made, known["localizations"])
            state_rows.renew_segments(self.store, made)
        for kind in ("State", "Localization"):
            for first in ids_made(RECORDINGS[number], kind)[:1]:
                self.set_sequence(kind.lower(), first)

    def rows(self) -> int:
        return int(self.store.rows("SELECT COUNT(*) AS rows FROM state")[0]["rows"])

    def row_pairs(self, number: int) -> list[tuple[Record, Record]]:
        """Return the rows of a recording, each with the same row of the stand-in."""
        return [(one, self._own_row(one)) for one in shown_rows(RECORDINGS[number])]

    def _own_row(self, shown: Record) -> Record:
        table = "localization" if "x" in shown else "state"
        found = self.store.rows(f"SELECT * FROM {table} WHERE id = ?", shown["id"])
        if not found:
            return {"deleted": True}
        alive = "" if "x" in shown else " AND NOT deleted"
        last = self.store.rows(
            f"SELECT MAX(mark) AS last FROM {table} WHERE elemental_id = ? AND version = ?{alive}",
            *(found[0]["elemental_id"], found[0]["version"]),
        )
        row: Record = {**dict(found[0]), "latest_mark": last[0]["last"]}
        if row.get("hidden"):  # its last mark was merged into another state
            row["latest_mark"] = row["mark"] + 1
        row["attributes"] = json.loads(row["attributes"])
        if "x" in shown:
            row["x"] = json.loads(row["shape"])["x"]
            query = "SELECT state FROM state_localization WHERE localization = ? ORDER BY state"
            row["in_states"] = [row["state"] for row in self.store.rows(query, shown["id"])] or None
            return row
        media = self.store.rows("SELECT media FROM state_media WHERE state = ? ORDER BY media", shown["id"])
        row["segments"] = json.loads(row["segments"]) if row["segments"] else None
        row["localizations"] = state_rows.boxes_of(self.store, shown["id"]) or None
        row["media"] = [row["media"] for row in media] or None
        return row

    def ask(self, number: int) -> Any:
        method, address = RECORDINGS[number]["request"].split(" ", 1)
        body = RECORDINGS[number]["body"]
        content = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        person = next(key for key, name in PEOPLE.items() if name == RECORDINGS[number].get("as", "admin"))
        headers = {"Authorization": f"Token {str(person) * 40}"}
        return self.api.test_client().open(address, method=method, headers=headers, **content)


def shown_rows(recording: Record) -> list[Record]:
    """Return the rows of the database that a recording shows, some of which are lines of text."""
    shown = recording.get("database")
    if isinstance(shown, dict):
        shown = [shown.get("newest")]
    found = []
    for one in shown or []:
        if isinstance(one, str) and one.startswith("id="):
            parts = dict(re.findall(r"(\w+)=(.*?)(?= \w+=|$)", one))
            found.append({key: ast.literal_eval(value) for key, value in parts.items()})
        elif isinstance(one, dict) and "id" in one:
            found.append(one)
    return found


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
