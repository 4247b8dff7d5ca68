"""What a real Tator 1.5 answered about states (tracks), and which rows stood then, asked of the stand-in."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from . import state_rows
from .states_replay import ASKED, RECORDINGS, Replay, shown_rows
from .store import Record

TIMES = re.compile(r"\d{4}-\d\d-\d\d[ T][\d:.+Z]+")


@dataclass
class Answer:
    """What the stand-in answered, how many rows of states it added, and how those stand that a recording shows."""

    status: int
    text: str
    added: int
    standing: list[tuple[Record, Record]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Answer]]:
    """Replay what is asked, in order."""
    replay = Replay(tmp_path_factory.mktemp("replay"))
    found = {}
    for number in ASKED:
        replay.before(number)
        count = replay.rows()
        answer = replay.ask(number)
        found[number] = Answer(
            answer.status_code, answer.get_data(as_text=True), replay.rows() - count, replay.standing(number)
        )
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
        given = plain(json.loads(text))
        assert subset(given, plain(expected)), f"{given}\n{plain(expected)}"


WITH_ROWS = [number for number in ASKED if shown_rows(RECORDINGS[number])]


@pytest.mark.parametrize("number", WITH_ROWS, ids=[f"{one} {RECORDINGS[one]['what'][:60]}" for one in WITH_ROWS])
def test_the_rows_stand_as_recorded(answers: dict[int, Answer], number: int) -> None:
    for shown, here in answers[number].standing:
        if shown.get("deleted"):  # a pruned box has no row here, a pruned state has
            assert here["deleted"]
            continue
        expected = {key: value for key, value in shown.items() if key not in FREE or key == "x"}
        if "x" not in shown:  # rows of links come in no order
            expected |= {key: sorted(expected[key]) for key in ("media", "localizations") if expected.get(key)}
        assert {key: here[key] for key in expected} == expected


COUNTED = [number for number in ASKED if "after" in (RECORDINGS[number].get("database") or ())]


@pytest.mark.parametrize("number", COUNTED, ids=[f"{one} {RECORDINGS[one]['what'][:60]}" for one in COUNTED])
def test_as_many_rows_are_stored_as_recorded(answers: dict[int, Answer], number: int) -> None:
    """Also where the answer is a refusal."""
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
