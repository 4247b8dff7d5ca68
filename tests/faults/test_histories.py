"""Random histories of runs, races, edits, deletions and outages: at the end, Tator has the right boxes.

People also act before any request of a run, but then not in place, which Tator cannot guard.
"""

import os
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.lib.errors import ServerError
from scripts.lib.server.faults import LostAnswer, Refused
from scripts.lib.uploads.box_rounds import Reconciliation
from scripts.lib.uploads.origin import content_part
from scripts.lib.uploads.reconcile import Destination, plan
from tests.lib.uploads.test_reconcile import box

ANSWERS = (
    *("heard", "lost before", "lost after", "refused before", "refused after", "goes on", "beside another run"),
    *("killed before", "killed after", "killed and goes on"),
)
ACTIONS = (
    *("nothing", "edit", "edit and back", "edit in place", "edit many", "delete", "add", "prune", "new default"),
    *("move", "rename"),
)
# Those before a request.
MEANWHILE = ("edit", "edit and back", "delete", "add", "prune", "new default")
RUNS_USER, PERSON = 1, 2
HISTORIES = int(os.environ.get("HISTORIES", "300"))


class Killed(BaseException):
    """The process of the run is killed."""


@dataclass
class Model:
    """A Tator project with one media: rows, uncommitted rows, and the rows that a person has changed.

    Attributes:
        meanwhile: what people do before each of the next requests, in reverse order.
        edited_rows: the rows of boxes that people have changed, of all revisions.
        protected: those that no run may remove: all at the start of a run, later only those that people make.
    """

    answers: list[str] = field(default_factory=list)
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    uncommitted: list[list[dict[str, Any]]] = field(default_factory=list)
    default: int = 0
    clock: int = 0
    last_id: int = 0
    edited_rows: set[int] = field(default_factory=set)
    protected: set[int] = field(default_factory=set)
    meanwhile: list[tuple[str, int] | None] = field(default_factory=list)
    buried: set[str] = field(default_factory=set)
    other: list[int] | None = None
    species: str = "Species"

    def where(self) -> Destination:
        known = {name: ["2026-01-01T00:00:00+00:00"] for name in (self.species, "Confidence", "State", "Seen")}
        known["State"] += range(self.default + 1)
        return Destination(6, 3, self.species, "Confidence", {"State": self.default}, known)

    def marks_of(self, identity: str) -> list[dict[str, Any]]:
        return [row for row in self.rows.values() if row["elemental_id"] == identity]

    def new_row(self, content: dict[str, Any], user: int, created: str | None = None) -> dict[str, Any]:
        self.last_id += 1
        self.clock += 10
        time = f"2026-02-01T{self.clock // 3600:02}:{self.clock // 60 % 60:02}:{self.clock % 60:02}+00:00"
        marks = [row["mark"] for row in self.marks_of(content["elemental_id"])]
        times = {"created_datetime": created or time, "modified_datetime": time}
        return {
            "variant_deleted": False,
            **content,
            **times,
            "id": self.last_id,
            "mark": max(marks, default=-1) + 1,
            "created_by": content.get("created_by", user),
            "modified_by": user,
        }

    def latest(self) -> list[dict[str, Any]]:
        last = {identity: max(row["mark"] for row in self.marks_of(identity)) for identity in self.identities()}
        return [row for _, row in sorted(self.rows.items()) if row["mark"] == last[row["elemental_id"]]]

    def identities(self) -> list[str]:
        return sorted({row["elemental_id"] for row in self.rows.values()})

    def people_act(self):
        if self.meanwhile and (event := self.meanwhile.pop()) is not None:
            self.act(*event)

    def act(self, action, at):
        self.person(action, at)

    # Called by the workflow.

    def boxes(self, media_id, type_id, version_id, show_all_marks=0):
        self.people_act()
        rows = [row for _, row in sorted(self.rows.items())] if show_all_marks else self.latest()
        return iter([dict(row) for row in rows])

    def media(self, media_ids):
        return {media_id: {} for media_id in media_ids}

    def localization_types(self):
        return [
            {
                "id": 3,
                "name": "Box",
                "dtype": "box",
                "attribute_types": [{"name": "State", "dtype": "int", "default": self.default}],
            }
        ]

    def create_boxes(self, specs):
        self.people_act()
        new = []
        for spec in specs:
            content = {key: value for key, value in spec.items() if key != "media_id"} | {"media": spec["media_id"]}
            content["attributes"] = {"State": self.default, **spec["attributes"]}
            row = self.new_row(content, RUNS_USER)
            row["attributes"]["Seen"] = row["created_datetime"]  # a datetime attribute with use_current
            new.append(row)
        self._answer(lambda: self.rows.update({row["id"]: row for row in new}), new)

    def prune_rows(self, media_id, version_id, ids):
        self.people_act()
        rows = [self.rows[one] for one in ids if one in self.rows]
        if len(rows) != len(ids):
            raise LostAnswer("somebody changed some of them in between")
        assert not self.protected & {row["id"] for row in rows}

        def go():
            for row in rows:
                self.rows.pop(row["id"], None)

        self._answer(go, None)

    def _answer(self, carry_out, new):
        how = self.answers.pop() if self.answers else "heard"
        if how.endswith("goes on") and new:
            self.uncommitted.append(new)
        if how == "beside another run" and new and self.other is not None:
            frames, self.other = self.other, None
            run(self, frames)
        if how in ("heard", "beside another run") or how.endswith("after") or (how.endswith("goes on") and not new):
            carry_out()
        if how.startswith("killed"):
            raise Killed
        if how.startswith(("lost", "goes")):
            raise LostAnswer("lost")
        if how.startswith("refused"):
            raise Refused(400, "refused", unexplained=True)

    def commit(self):
        for rows in self.uncommitted:
            self.rows.update({row["id"]: row for row in rows})
        self.uncommitted = []

    # Actions of a person.

    def person(self, action, at):
        last = self.last_id
        self._person(action, at)
        self.protected = {one for one in self.protected if one in self.edited_rows}
        self.protected |= {one for one in self.edited_rows if one > last}

    def _person(self, action, at):  # noqa: C901, PLR0912 - one branch for each action
        if action == "new default":
            self.default += 1
        if action == "rename":
            before, self.species = self.species, f"Species {self.last_id}"
            for row in self.rows.values():
                named = row["attributes"].items()
                row["attributes"] = {self.species if name == before else name: value for name, value in named}
        if action == "add":
            identity = f"0a0a0a0a-0000-4000-8000-{self.last_id:012d}"
            content = {"elemental_id": identity, "media": 2, "frame": at, "attributes": {}}
            row = self.new_row({**content, "x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2}, RUNS_USER)
            self.rows[row["id"]] = row
            self.edited_rows.add(row["id"])
        live = [row for row in self.latest() if not row["variant_deleted"]]
        if action in ("nothing", "new default", "add", "rename") or not live:
            return
        row = live[at % len(live)]
        if action in ("prune", "move"):  # leaves no trace in this version
            for one in self.marks_of(row["elemental_id"]):
                del self.rows[one["id"]]
                self.edited_rows.discard(one["id"])
        elif action == "edit in place":
            row["attributes"] = {**row["attributes"], "State": 99}
            self.edited_rows.add(row["id"])
        elif action == "edit many":
            for one in live[at:]:
                one["modified_by"] = PERSON
                self.edited_rows.add(one["id"])
        else:
            for change in {
                "edit": [{"x": 0.11}],
                "delete": [{"variant_deleted": True}],
                "edit and back": [{"x": 0.11}, {"x": row["x"]}],
            }[action]:
                new = self.new_row({**row, **change}, RUNS_USER, created=row["created_datetime"])
                if action == "delete":
                    new["created_datetime"] = new["modified_datetime"]
                self.rows[new["id"]] = new
            if action == "delete":
                self.buried.add(row["elemental_id"])
            self.edited_rows |= {one["id"] for one in self.marks_of(row["elemental_id"])}


def run(model, frames):
    """Make one run; return its result, or None if it gave up after lost answers or was killed."""
    try:
        return Reconciliation(model, 2, [box(frame) for frame in frames], model.where(), 0.5).run()
    except (LostAnswer, Refused, ServerError, Killed):
        return None


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Wait for nothing: the model's time advances by events."""
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "0")
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "100")
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)


wanted = st.lists(st.integers(0, 4), max_size=5)
event = st.tuples(
    wanted,
    st.none() | wanted,
    st.lists(st.sampled_from(ANSWERS), max_size=4),
    st.lists(st.none() | st.tuples(st.sampled_from(MEANWHILE), st.integers(0, 4)), max_size=6),
    st.sampled_from(ACTIONS),
    st.integers(0, 4),
)


@settings(deadline=None, max_examples=HISTORIES, derandomize=True)
@given(st.lists(event, min_size=1, max_size=6))
def test_any_history_ends_in_the_right_state(history):
    model = Model()
    for frames, other, answers, meanwhile, action, at in history:
        model.protected = model.edited_rows & model.rows.keys()
        model.answers, model.other, model.meanwhile = list(answers), other, list(meanwhile)
        run(model, frames)
        model.answers, model.other, model.meanwhile = [], None, []
        model.commit()
        model.protected = model.edited_rows & model.rows.keys()
        before = {number: dict(model.rows[number]) for number in model.protected}
        settled = run(model, frames)  # an undisturbed run, after all requests have ended
        assert settled is not None
        assert settled.settled
        check(model, frames, before, settled)
        model.person(action, at)


def test_an_edit_between_two_lists_of_one_comparison_stays():
    model = Model()
    run(model, [0, 1])
    model.person("edit and back", 0)  # so that all revisions are listed, after the latest ones
    model.meanwhile = [("edit", 0), None]
    run(model, [0])
    assert [(row["frame"], row["x"]) for row in model.latest()] == [(0, 0.1), (1, 0.11)]


def check(model, frames, before, settled):
    """Check that no edited row was changed, and that the other boxes are the wanted ones, each once."""
    assert {number: model.rows[number] for number in before} == before
    people = [row for row in model.latest() if row["id"] in model.edited_rows and not row["variant_deleted"]]
    workflow_rows = [row for row in model.latest() if row["id"] not in model.edited_rows]
    identities = [row["elemental_id"] for row in workflow_rows]
    where = model.where()
    made = {box(frame).elemental_id(where): frame for frame in frames}
    # Boxes keep their ids if the attribute of the species is renamed.
    existing, buried = {content_part(one) for one in identities}, {content_part(one) for one in model.buried}
    assert len(identities) == len(existing)
    assert existing <= {content_part(one) for one in made}
    frames_of_people = {row["frame"] for row in people}
    for identity, frame in made.items():
        if content_part(identity) not in buried and frame not in frames_of_people:
            assert content_part(identity) in existing
    assert sorted(settled.present) == sorted(identities)
    assert plan([box(frame) for frame in frames], [], where, overlap_limit=0.5).create.keys() == made.keys()
