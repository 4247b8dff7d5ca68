"""Test properties for any order of events and any text: no person's work is changed, and no secret gets out."""

import os
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.lib.token import redact
from scripts.lib.uploads.reconcile import plan
from tests.lib.uploads.test_reconcile import TO, box, listed

SECRET = "f3a9c1d2e4b5a6978877665544332211aabbccdd"
DEEDS = ("nothing", "edit", "edit and back", "delete", "add")


class Model:
    """A server that keeps all marks of each box, and remembers whose boxes a person has touched."""

    def __init__(self):
        self.marks: dict[str, list[dict]] = {}
        self.touched: dict[str, list[dict]] = {}

    def look(self):
        return [marks[-1] for marks in self.marks.values()]

    def decide(self, wanted):
        todo = plan(wanted, self.look(), TO, overlap_limit=0.5)
        if todo.unclear:
            every = [mark for marks in self.marks.values() for mark in marks]
            todo = plan(wanted, self.look(), TO, overlap_limit=0.5, all_revisions=every)
        assert not todo.unclear
        return todo

    def create(self, made):
        marks = self.marks.setdefault(made.elemental_id(TO), [])
        marks.append(listed(made, mark=len(marks)))

    def carry_out(self, todo):
        for identity in todo.remove:
            assert identity not in self.touched
            if todo.revisions[identity] == len(self.marks.get(identity, ())):  # the server's own count
                del self.marks[identity]
        for made in todo.create.values():
            self.create(made)

    def person(self, deed, at):
        if deed == "add":
            identity = f"0a0a0a0a-0000-4000-8000-{len(self.touched):012d}"
            self.marks[identity] = [listed(box(at), elemental_id=identity)]
        elif deed == "nothing" or not self.marks:
            return
        else:
            identity = sorted(self.marks)[at % len(self.marks)]
            before = self.marks[identity][-1]
            for change in {"edit": [{"x": 0.11}], "delete": [{"variant_deleted": True}]}.get(
                deed, [{"x": 0.11}, {"x": before["x"]}]
            ):
                last = self.marks[identity][-1]
                self.marks[identity].append({**last, **change, "mark": last["mark"] + 1})
        self.touched[identity] = list(self.marks[identity])


frames = st.lists(st.integers(0, 4), max_size=5)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(frames, frames, st.booleans(), st.sampled_from(DEEDS), st.integers(0, 4)), max_size=6))
def test_any_history_of_runs_at_once_and_people(history):
    """Two runs read at the same moment and write one after the other; then one continues alone, as a last check."""
    model = Model()
    for one, other, at_once, deed, at in history:
        wanted = [box(frame) for frame in one]
        first = model.decide(wanted)
        second = model.decide(wanted if at_once else [box(frame) for frame in other])
        model.carry_out(first)
        model.carry_out(second)
        for _ in range(3):
            model.carry_out(model.decide(wanted))
        settled = model.decide(wanted)
        assert settled.settled
        assert all(model.marks[identity] == marks for identity, marks in model.touched.items())
        # What only runs have made, once or twice, is nobody's but the machine's.
        assert set(settled.edited) | set(settled.added) | set(settled.deleted) <= set(model.touched)
        assert set(settled.present) == set(model.marks) - set(model.touched)
        model.person(deed, at)


@given(st.text(), st.text(), st.sampled_from(["{}", "Token {}", "Authorization: Bearer {}", "http://s/b?Signature={}"]))
def test_no_text_lets_the_secret_or_a_terminal_command_through(before, after, form):
    os.environ["TATOR_AUTH_TOKEN"] = SECRET
    try:
        text = redact(f"{before} {form.format(SECRET)} {after}")
    finally:
        del os.environ["TATOR_AUTH_TOKEN"]
    assert SECRET not in text
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    assert redact(text) == text
