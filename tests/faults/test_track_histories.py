"""Random histories of runs, races, outages and edits of boxes and tracks: at the end, Tator has the right tracks."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.lib.errors import ServerError
from scripts.lib.server.faults import LostAnswer, Refused
from scripts.lib.uploads.box_rounds import Reconciliation
from scripts.lib.uploads.track_origin import TrackDestination, TrackToUpload, segments
from scripts.lib.uploads.track_plan import rows_in_peoples_tracks
from scripts.lib.uploads.track_rounds import TrackReconciliation, list_states
from tests.faults.test_histories import PERSON, RUNS_USER, Killed, Model
from tests.lib.uploads.test_reconcile import box

ANSWERS = (
    *("heard", "lost before", "lost after", "refused before", "refused after", "goes on"),
    *("half made", "half made, without media", "lost half-way", "beside another run"),
    *("killed before", "killed after", "killed and goes on", "killed half-way"),
)
TRACK_ACTIONS = (
    *("edit", "edit and back", "edit in place", "edit many in place", "add a box", "add a box in place"),
    *("take a box out", "take a box out in place", "merge", "trim", "delete", "delete many", "prune", "draw"),
)
BOX_ACTIONS = (
    "nothing",
    "edit a box",
    "edit a box on the page",
    "delete a box",
    "delete a box on the page",
    "prune a box",
)
# Boxes that a track must have to be uploaded.
LEAST = 2
# Those before a request: not in place, which Tator cannot guard.
TRACKS_MEANWHILE = ("edit", "edit and back", "add a box", "take a box out", "delete", "delete many", "prune", "draw")
HISTORIES = int(os.environ.get("HISTORIES", "150"))
WHERE = TrackDestination(6, 9, "Species", "Confidence", length_attribute="Length")


def track(frames: Iterable[int]) -> TrackToUpload:
    return TrackToUpload(2, tuple(box(frame) for frame in frames), "cod", 0.5)


@dataclass
class TrackModel(Model):
    """The project of test_histories.py, with states.

    Attributes:
        states_by_id: committed rows of states.
        hidden: elemental ids whose newest mark was merged away.
        edited_states: rows of states that a person has edited.
        protected_states: those that no run may remove, as `protected`.
        frame_of: the frame of each row of a box that there has ever been.
    """

    states_by_id: dict[int, dict[str, Any]] = field(default_factory=dict)
    uncommitted_states: list[list[dict[str, Any]]] = field(default_factory=list)
    hidden: set[str] = field(default_factory=set)
    edited_states: set[int] = field(default_factory=set)
    protected_states: set[int] = field(default_factory=set)
    frame_of: dict[int, int] = field(default_factory=dict)
    other_tracks: list[list[int]] | None = None

    def new_row(self, content, user, created=None):
        row = super().new_row(content, user, created)
        self.frame_of[row["id"]] = content["frame"]
        return row

    def marks(self, identity):
        return [row for row in self.states_by_id.values() if row["elemental_id"] == identity]

    def new_state(self, content, user, created=None):
        row = self.new_row({**content, "frame": None}, user, created)
        row["mark"] = max([one["mark"] for one in self.marks(content["elemental_id"])], default=-1) + 1
        return row

    def add_state(self, content, user, created=None):
        row = self.new_state(content, user, created)
        self.states_by_id[row["id"]] = row
        return row

    def latest_states(self):
        last = {}
        for row in self.states_by_id.values():
            if row["elemental_id"] not in self.hidden:
                last[row["elemental_id"]] = max(row["mark"], last.get(row["elemental_id"], 0))
        return [row for _, row in sorted(self.states_by_id.items()) if last.get(row["elemental_id"]) == row["mark"]]

    def with_segments(self, row):
        frames = [self.frame_of[box_row] for box_row in row["localizations"]]
        return {**row, "segments": segments(frames) or [[None, None]]}

    # Called by the workflow.

    def act(self, action, at):
        (self.on_boxes if action in BOX_ACTIONS else self.on_tracks)(action, at)

    def states(self, media_id, type_id, version_id, show_all_marks=0):
        self.people_act()
        rows = [row for _, row in sorted(self.states_by_id.items())] if show_all_marks else self.latest_states()
        return iter([dict(row) for row in rows if media_id in row["media"]])

    def states_of(self, identities, type_id, version_id, show_all_marks=0):
        self.people_act()
        rows = [row for _, row in sorted(self.states_by_id.items())] if show_all_marks else self.latest_states()
        return [dict(row) for row in rows if row["elemental_id"] in identities]

    def state_types(self):
        return [{"id": 9, "name": "Track", "dtype": "state", "attribute_types": []}]

    def create_tracks(self, specs):
        self.people_act()
        how = self.answers.pop() if self.answers else "heard"
        new = []
        for spec in specs:
            assert len(spec["localization_ids"]) == len(set(spec["localization_ids"])) >= LEAST
            content = {key: spec[key] for key in ("type", "version", "attributes", "elemental_id")}
            content |= {"media": list(spec["media_ids"]), "localizations": list(spec["localization_ids"])}
            if how.startswith(("half made", "lost half-way", "killed half-way")):
                content |= {"localizations": [] if "made" in how else content["localizations"][:1], "segments": None}
                content["media"] = [] if "without" in how else content["media"]
                new.append(self.new_state(content, RUNS_USER))
            else:
                new.append(self.with_segments(self.new_state(content, RUNS_USER)))
        if how.endswith("goes on"):
            self.uncommitted_states.append(new)
        if how == "beside another run" and self.other_tracks is not None:
            other, self.other_tracks = self.other_tracks, None
            run(self, other)
        if how in ("heard", "beside another run") or how.endswith("after") or "half" in how:
            self.states_by_id.update({row["id"]: row for row in new})
        if how.startswith("killed"):
            raise Killed
        if how in ("lost before", "lost after", "goes on", "lost half-way"):
            raise LostAnswer("lost")
        if how.startswith("half made"):
            raise Refused(400, 'Key (localization_id)=(1) is not present in table "main_localization"')
        if how.startswith("refused"):
            raise Refused(400, "refused", unexplained=True)

    def prune_track(self, version_id, identity, revisions):
        self.people_act()
        self._prune_states([row for row in self.states_by_id.values() if row["elemental_id"] == identity], revisions)

    def prune_track_rows(self, version_id, ids):
        self.people_act()
        self._prune_states([self.states_by_id[one] for one in ids if one in self.states_by_id], len(ids))

    def _prune_states(self, rows, count):
        if len(rows) != count:
            raise LostAnswer("somebody changed some of them in between")
        assert not self.protected_states & {row["id"] for row in rows}

        def go():
            for row in rows:
                self.states_by_id.pop(row["id"], None)

        self._answer(go, None)

    def commit(self):
        super().commit()
        for rows in self.uncommitted_states:
            self.states_by_id.update({row["id"]: row for row in rows})
        self.uncommitted_states = []

    # Actions of people.

    def on_boxes(self, action, at):
        last = self.last_id
        live = [row for row in self.latest() if not row["variant_deleted"]]
        if action == "nothing" or not live:
            return
        old = live[at % len(live)]
        holders = [one for one in self.live_states() if old["id"] in one["localizations"]]
        if action == "delete a box on the page":
            for one in holders:
                self.patch(one, take_out=[old["id"]])
        self.person(
            {"edit a box": "edit", "edit a box on the page": "edit", "prune a box": "prune"}.get(action, "delete"), at
        )
        if action == "edit a box on the page":
            new = max(self.rows)
            for one in holders:
                self.patch(one, add=[new], take_out=[old["id"]])
        self.protect_states(after=last)

    def protect_states(self, after):
        """Protect the rows that a person has made now, and no longer those that a person removed."""
        self.protected_states &= self.edited_states
        self.protected_states |= {one for one in self.edited_states if one > after}

    def live_states(self):
        return [row for row in self.latest_states() if not row["variant_deleted"]]

    def patch(self, row, add=(), take_out=(), in_place=False, **changes):
        """Patch the newest row, as Tator does: the boxes of the old row change as well."""
        self.edited_states |= {one["id"] for one in self.marks(row["elemental_id"])}
        boxes = [one for one in dict.fromkeys([*row["localizations"], *add]) if one not in take_out]
        row["localizations"] = boxes
        new = {**row, **changes, "localizations": list(boxes)}
        if add or take_out:
            new = self.with_segments(new)
        if in_place:
            self.clock += 10
            new["modified_datetime"] = self.new_row(row, RUNS_USER)["modified_datetime"]
            self.states_by_id[row["id"]] = new
        else:
            new = self.add_state(new, RUNS_USER, created=row["created_datetime"])
        self.edited_states.add(new["id"])
        return new

    def on_tracks(self, action, at):
        last = self.last_id
        self._on_tracks(action, at)
        self.protect_states(after=last)

    def _on_tracks(self, action, at):  # noqa: C901, PLR0912 - one branch for each action
        boxes = [row["id"] for row in self.latest() if not row["variant_deleted"]]
        live = self.live_states()
        if action == "draw" and len(boxes) > 1:
            content = {"type": 9, "version": 6, "attributes": {}, "media": [2], "localizations": boxes[at % 2 :][:3]}
            identity = f"0b0b0b0b-0000-4000-8000-{self.last_id:012d}"
            new = self.add_state(self.with_segments({**content, "elemental_id": identity}), PERSON)
            self.edited_states.add(new["id"])
        if action == "draw" or not live:
            return
        row = live[at % len(live)]
        others = [one for one in boxes if one not in row["localizations"]]
        inner = row["localizations"][:1]
        marks = {one["id"] for one in self.marks(row["elemental_id"])}
        if action == "prune":
            for number in marks:
                del self.states_by_id[number]
            self.edited_states -= marks
        elif action in ("delete", "delete many"):
            content = {**row, "variant_deleted": True}
            content |= {"media": [], "localizations": []} if action == "delete many" else {}
            tomb = self.add_state(content, RUNS_USER)
            self.edited_states |= marks | {tomb["id"]}
        elif action == "merge" and len(live) > 1:
            other = live[(at + 1) % len(live)]
            row["localizations"] = list(dict.fromkeys([*row["localizations"], *other["localizations"]]))
            self.states_by_id[row["id"]] = self.with_segments(row)
            del self.states_by_id[other["id"]]
            self.edited_states.discard(other["id"])
            left = {one["id"] for one in self.marks(other["elemental_id"])}
            if left:
                self.hidden.add(other["elemental_id"])
            self.edited_states |= marks | left
        elif action == "trim" and inner:
            row["localizations"] = row["localizations"][1:]
            self.states_by_id[row["id"]] = self.with_segments(row)
            self.edited_states |= marks
        elif action == "edit many in place":
            row["attributes"] = {**row["attributes"], "Confidence": 0.125}
            self.edited_states |= marks
        elif action.startswith("edit"):
            new = self.patch(
                row, in_place=action == "edit in place", attributes={**row["attributes"], "Species": "eel"}
            )
            if action == "edit and back":
                self.patch(new, attributes=row["attributes"])
        elif action.startswith("add a box") and others:
            self.patch(row, add=others[:1], in_place="in place" in action)
        elif action.startswith("take a box out") and inner:
            self.patch(row, take_out=inner, in_place="in place" in action)


def run(model, tracks):
    """Upload boxes and tracks; return the result, or None if the run gave up after lost answers or was killed."""
    frames = sorted({frame for one in tracks for frame in one})
    where = model.where()
    try:
        Reconciliation(
            model, 2, [box(frame) for frame in frames], where, 0.5,
            rows_in_use=lambda _: rows_in_peoples_tracks(list_states(model, 2, WHERE), WHERE, lambda where: where),
        ).run()  # fmt: skip
        return TrackReconciliation(model, 2, [track(one) for one in tracks], WHERE, where, least=LEAST).run()
    except (LostAnswer, Refused, ServerError, Killed):
        return None


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Wait for nothing: the model's time advances by events."""
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "0")
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "100")
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)


a_track = st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True).map(sorted)
wanted = st.lists(a_track, max_size=3)
event = st.tuples(
    wanted,
    st.none() | wanted,
    st.lists(st.sampled_from(ANSWERS), max_size=4),
    st.lists(st.none() | st.tuples(st.sampled_from(TRACKS_MEANWHILE + BOX_ACTIONS), st.integers(0, 4)), max_size=10),
    st.sampled_from(BOX_ACTIONS),
    st.sampled_from(TRACK_ACTIONS),
    st.integers(0, 4),
)


@settings(deadline=None, max_examples=HISTORIES, derandomize=True)
@given(st.lists(event, min_size=1, max_size=5))
def test_any_history_ends_in_the_right_state(history):
    model = TrackModel()
    for tracks, other, answers, meanwhile, box_action, track_action, at in history:
        protect(model)
        model.answers, model.other_tracks, model.meanwhile = list(answers), other, list(meanwhile)
        run(model, tracks)
        model.answers, model.other_tracks, model.meanwhile = [], None, []
        model.commit()
        protect(model)
        before = {number: dict(model.states_by_id[number]) for number in model.protected_states}
        in_tracks = {
            row for one in model.live_states() if one["id"] in model.edited_states for row in one["localizations"]
        } & model.rows.keys()
        settled = run(model, tracks)  # an undisturbed run, after all requests have ended
        assert settled is not None
        assert settled.settled
        assert {number: model.states_by_id[number] for number in before} == before
        assert in_tracks <= model.rows.keys()
        check(model, tracks, settled)
        model.on_boxes(box_action, at)
        model.on_tracks(track_action, at)


def protect(model):
    """Protect all rows that people have edited."""
    model.protected = model.edited_rows & model.rows.keys()
    model.protected_states = model.edited_states & model.states_by_id.keys()


def check(model, tracks, settled):
    """Check that the tracks that no person edited are the wanted ones, each once, with the current rows of boxes."""
    where = model.where()
    live = model.live_states()
    workflow_rows = [row for row in live if row["id"] not in model.edited_states]
    assert all(row["segments"] is not None for row in workflow_rows)
    assert len({row["elemental_id"] for row in workflow_rows}) == len(workflow_rows) == len(settled.present)
    current = {
        row["frame"]: row["id"] for row in reversed(model.latest()) if is_run_box(row) and not row["variant_deleted"]
    }
    name_of = {number: row["elemental_id"] for number, row in model.rows.items()}
    taken = {name_of.get(row) for one in live if one["id"] in model.edited_states for row in one["localizations"]}
    known = {row["elemental_id"][:21] for row in model.states_by_id.values() if row["id"] in model.edited_states}
    expected = []
    for one in {tuple(frames) for frames in tracks}:
        key = track(one).key(WHERE, where)
        there = [current[frame] for frame in one if frame in current]
        free = [row for row in there if name_of[row] not in taken]
        if (
            f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:]}" not in known
            and len(free) >= LEAST
            and 2 * len(free) >= len(there)
        ):
            expected.append(sorted(free))
    assert sorted(sorted(row["localizations"]) for row in workflow_rows) == sorted(expected)


def is_run_box(row):
    return not row["elemental_id"].startswith("0a0a")
