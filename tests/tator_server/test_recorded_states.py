"""Recorded answers of a real Tator 1.5 about states (tracks), and its rows, compared with the stand-in."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from . import state_rows
from .states_replay import RECORDINGS, REPLAYED, Replay, shown_rows
from .store import Record

TIMES = re.compile(r"\d{4}-\d\d-\d\d[ T][\d:.+Z]+")


@dataclass
class Answer:
    """An answer of the stand-in, the number of rows of states that it added, and pairs of a recorded row and ours."""

    status: int
    text: str
    added: int
    row_pairs: list[tuple[Record, Record]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Answer]]:
    """Replay the recorded requests, in order."""
    replay = Replay(tmp_path_factory.mktemp("replay"))
    found = {}
    for number in REPLAYED:
        replay.before(number)
        count = replay.rows()
        answer = replay.ask(number)
        found[number] = Answer(
            answer.status_code, answer.get_data(as_text=True), replay.rows() - count, replay.row_pairs(number)
        )
    yield found
    replay.store.close()


def plain(answer: Any) -> Any:
    """Return an answer without times, generated ids, and the database's print of a failing row."""
    if isinstance(answer, list):
        return [plain(one) for one in answer]
    if isinstance(answer, dict):
        return {key: plain(value) for key, value in answer.items()}
    if isinstance(answer, str):
        answer = re.sub(r"State [0-9a-f-]{36}@", "State <id>@", answer)
        answer = re.sub(r"for \w+/(?=[0-9a-f]{8}-)", "for <version>/", answer)
        return TIMES.sub("<time>", re.sub(r"Failing row contains \(.*\)", "Failing row contains (...)", answer))
    return answer


@pytest.mark.parametrize("number", REPLAYED, ids=[f"{one} {RECORDINGS[one]['what'][:60]}" for one in REPLAYED])
def test_the_answer_is_as_recorded(answers: dict[int, Answer], number: int) -> None:
    recording, status, text = RECORDINGS[number], answers[number].status, answers[number].text
    assert status == recording["status"], text
    expected = recording["answer"]
    if expected == "HTML page: Not Found":
        assert "<title>Not Found</title>" in text
    elif expected == "":
        assert text == ""
    elif isinstance(expected, str) and expected.startswith("ids "):
        assert f"ids {[one['id'] for one in json.loads(text)]}" == expected
    else:
        found = plain(json.loads(text))
        assert subset(found, plain(expected)), f"{found}\n{plain(expected)}"


WITH_ROWS = [number for number in REPLAYED if shown_rows(RECORDINGS[number])]


@pytest.mark.parametrize("number", WITH_ROWS, ids=[f"{one} {RECORDINGS[one]['what'][:60]}" for one in WITH_ROWS])
def test_the_rows_are_as_recorded(answers: dict[int, Answer], number: int) -> None:
    for shown, row in answers[number].row_pairs:
        if shown.get("deleted"):  # a pruned box has no row in the stand-in; a pruned state has one
            assert row["deleted"]
            continue
        expected = {key: value for key, value in shown.items() if key not in FREE or key == "x"}
        if "x" not in shown:  # rows of links have no order
            expected |= {key: sorted(expected[key]) for key in ("media", "localizations") if expected.get(key)}
        assert {key: row[key] for key in expected} == expected


COUNTED = [number for number in REPLAYED if "after" in (RECORDINGS[number].get("database") or ())]


@pytest.mark.parametrize("number", COUNTED, ids=[f"{one} {RECORDINGS[one]['what'][:60]}" for one in COUNTED])
def test_as_many_rows_are_stored_as_recorded(answers: dict[int, Answer], number: int) -> None:
    """Also if the answer is a refusal."""
    shown = RECORDINGS[number]["database"]
    assert answers[number].added == shown["after"] - shown["state rows before"]


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


def subset(found: Any, expected: Any) -> bool:
    """Return whether an answer has all recorded values, except those that differ each time."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(
            key in found and (key in FREE or (key == RIGHTS and "x" in expected) or subset(found[key], expected[key]))
            for key in expected
            if key not in ABSENT
        )
    if isinstance(expected, list) and expected and SHORTENED.fullmatch(str(expected[-1])):
        return isinstance(found, list) and all(map(subset, found, expected[:-1]))
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(subset, found, expected))
    return bool(found == expected)


SHORTENED = re.compile(r"\.\.\. \d+ in all")
# Generated values, and values of boxes whose creation was not recorded.
FREE = {"elemental_id", "x", "y", "width", "height"}
# In the answer to a box's patch, the stand-in follows other recordings.
RIGHTS = "effective_permission"
ABSENT = {"user_elemental_id", "extended_info"}
