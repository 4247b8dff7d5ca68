"""Attributes and their defaults over time in a version's description, and those left out of it."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from scripts.lib.uploads.known_attributes import (
    LONGEST_DESCRIPTION,
    OF_BOXES,
    OF_TRACKS,
    from_description,
    merged,
    to_description,
)

FIRST, LATER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
# As long as the description of a network with a digest.
WHAT, ENDING = "Boxes of the network " + "x" * 220 + ", ", "made by the detection workflow; people's edits are kept"


def box_type(**defaults):
    return {"attribute_types": [{"name": name, "default": default} for name, default in defaults.items()]}


def read_back(known, kind=OF_BOXES):
    return from_description(to_description(WHAT, {kind: known}, ENDING), kind)


@pytest.mark.parametrize("kind", [OF_BOXES, OF_TRACKS])
def test_written_attributes_are_read_again(kind):
    known = merged({}, box_type(Species=None, Reviewed="No", Points=[0.5, 1]), FIRST)
    known = merged(known, box_type(Species=None, Reviewed="Pending", Points=[0.5, 1], Later={"a": "}, "}), LATER)
    assert read_back(known, kind) == known


def test_both_kinds_in_one_description():
    boxes, tracks = merged({}, box_type(Reviewed="No"), FIRST), merged({}, box_type(Length=None, Of="x"), LATER)
    text = to_description(WHAT, {OF_BOXES: boxes, OF_TRACKS: tracks}, ENDING)
    assert from_description(text, OF_BOXES) == boxes
    assert from_description(text, OF_TRACKS) == tracks


def test_the_form_of_earlier_versions():
    known = {"Species": ["2026-01-01T00:00:00.000+00:00"], "Reviewed": ["2026-01-01T00:00:00.000+00:00", "No", "Yes"]}
    assert from_description(f"{WHAT}{OF_BOXES}{json.dumps(known)}, {ENDING}") == known


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a":1}', '{"a":{"b":1}}', '{"a":[]}', "[" * 3000])
def test_an_edited_description_has_no_attributes(text):
    assert from_description(f"{WHAT}{OF_BOXES}{text}, {ENDING}") == {}


def test_twenty_attributes_with_defaults_fit():
    known = merged({}, box_type(**{f"Attribute number {number}": "none" for number in range(20)}), FIRST)
    assert read_back(known) == known


def test_the_newest_attributes_without_a_default_are_left_out_first():
    known = merged({}, box_type(**{f"Free text {number:02}": None for number in range(60)}, Reviewed="No"), FIRST)
    known = merged(known, box_type(Reviewed="Pending", **{"Newest": None}), LATER)
    kept = read_back(known)
    assert kept["Reviewed"] == [FIRST.isoformat(timespec="milliseconds"), "No", "Pending"]
    assert 20 < len(kept) < 60
    assert "Newest" not in kept
    assert known.items() >= kept.items()


def test_replaced_defaults_are_left_out_next_and_then_the_longest_attributes():
    names = [f"Attribute number {number:02}" for number in range(13)]
    known = merged({}, box_type(**dict.fromkeys(names, "none")), FIRST)
    known = merged(known, box_type(**dict.fromkeys(names, "later than none"), Huge="x" * 2000), LATER)
    kept = read_back(known)
    assert "Huge" not in kept
    assert ["none", "later than none"] not in kept.values()
    assert kept.keys() == set(names)
    assert {values[-1] for values in kept.values()} == {"later than none"}


defaults = st.none() | st.text(max_size=40) | st.integers() | st.booleans() | st.lists(st.floats(0, 1), max_size=3)
types = st.dictionaries(st.text(min_size=1, max_size=12), defaults, max_size=25).map(lambda one: box_type(**one))


@settings(deadline=None, max_examples=40, derandomize=True, phases=[Phase.generate])
@given(types, types, types)
def test_any_description_is_short_enough_and_true(first, second, of_tracks):
    known = {OF_BOXES: merged(merged({}, first, FIRST), second, LATER), OF_TRACKS: merged({}, of_tracks, LATER)}
    text = to_description(WHAT, known, ENDING)
    assert len(text) <= LONGEST_DESCRIPTION
    for kind in known:
        for name, (since, *values) in from_description(text, kind).items():
            assert known[kind][name][0] == since
            assert not values or known[kind][name][-len(values) :] == values
