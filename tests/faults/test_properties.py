"""Properties for any order of events and any text: no person's work is changed, and no secret is shown."""

import os
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.lib.network_access.token import redact
from scripts.lib.uploads.reconcile import plan
from tests.lib.uploads.test_reconcile import TO, box, listed

SECRET = "f3a9c1d2e4b5a6978877665544332211aabbccdd"
ACTIONS = ("nothing", "edit", "edit and back", "delete", "add")


class Model:
    """A server that keeps all marks of each box, and the boxes that a person has edited."""

    def __init__(self):
        self.marks: dict[str, list[dict]] = {}
        self.edited: dict[str, list[dict]] = {}
        self.last_id = 0

    def latest(self):
        return [marks[-1] for marks in self.marks.values()]

    def decide(self, wanted):
        todo = plan(wanted, self.latest(), TO, overlap_limit=0.5)
        if todo.unclear:
            every = [mark for marks in self.marks.values() for mark in marks]
            todo = plan(wanted, every, TO, overlap_limit=0.5, complete=True)
        assert not todo.unclear
        return todo

    def create(self, made):
        marks = self.marks.setdefault(made.elemental_id(TO), [])
        self.last_id += 1
        marks.append(listed(made, mark=len(marks), id=self.last_id))

    def carry_out(self, todo):
        for identity in todo.remove:
            assert identity not in self.edited
            stale, marks = set(todo.revisions[identity]), self.marks.get(identity, [])
            if stale <= {row["id"] for row in marks}:  # the server's check
                self.marks[identity] = [row for row in marks if row["id"] not in stale]
            if not self.marks.get(identity):
                self.marks.pop(identity, None)
        for made in todo.create.values():
            self.create(made)

    def person(self, action, at):
        self.last_id += 10
        if action == "add":
            identity = f"0a0a0a0a-0000-4000-8000-{len(self.edited):012d}"
            self.marks[identity] = [listed(box(at), elemental_id=identity, id=self.last_id)]
        elif action == "nothing" or not self.marks:
            return
        else:
            identity = sorted(self.marks)[at % len(self.marks)]
            before = self.marks[identity][-1]
            for change in {"edit": [{"x": 0.11}], "delete": [{"variant_deleted": True}]}.get(
                action, [{"x": 0.11}, {"x": before["x"]}]
            ):
                last = self.marks[identity][-1]
                self.marks[identity].append({**last, **change, "mark": last["mark"] + 1, "id": last["id"] + 1})
        self.edited[identity] = list(self.marks[identity])


frames = st.lists(st.integers(0, 4), max_size=5)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(frames, frames, st.booleans(), st.sampled_from(ACTIONS), st.integers(0, 4)), max_size=6))
def test_any_history_of_simultaneous_runs_and_edits(history):
    """Two runs list the boxes at the same moment and write one after the other; then one of them continues alone."""
    model = Model()
    for one, other, at_once, action, at in history:
        wanted = [box(frame) for frame in one]
        first = model.decide(wanted)
        second = model.decide(wanted if at_once else [box(frame) for frame in other])
        model.carry_out(first)
        model.carry_out(second)
        for _ in range(3):
            model.carry_out(model.decide(wanted))
        settled = model.decide(wanted)
        assert settled.settled
        assert all(model.marks[identity] == marks for identity, marks in model.edited.items())
        # Boxes that only runs have made, once or twice, count as the workflow's.
        assert set(settled.edited) | set(settled.added) | set(settled.deleted) <= set(model.edited)
        assert set(settled.present) == set(model.marks) - set(model.edited)
        model.person(action, at)


@given(st.text(), st.text(), st.sampled_from(["{}", "Token {}", "Authorization: Bearer {}", "http://s/b?Signature={}"]))
def test_redacted_text_has_neither_the_token_nor_terminal_commands(before, after, form):
    os.environ["TATOR_AUTH_TOKEN"] = SECRET
    try:
        text = redact(f"{before} {form.format(SECRET)} {after}")
    finally:
        del os.environ["TATOR_AUTH_TOKEN"]
    assert SECRET not in text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    assert redact(text) == text
