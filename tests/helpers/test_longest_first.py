"""The order in which workers start groups of tests."""

from dataclasses import dataclass

import pytest

from tests.conftest import LONG_MADE
from tests.longest_first import LONGEST, longest_first
from tests.workflow import ROOT


@dataclass(frozen=True)
class Item:
    """A test, by its markers."""

    group: str
    nodeid: str = "tests/test_one.py::test"
    markers: tuple[str, ...] = ("unit",)

    def get_closest_marker(self, name):
        if name == "xdist_group":
            return pytest.mark.xdist_group(self.group)
        return name if name in self.markers else None


def test_long_groups_begin_before_short_groups_with_more_tests():
    quick, service = Item("quick", "tests/lib/test_two.py::test"), Item("service", "tests/lib/test_three.py::test", ())
    long = Item(LONGEST[1])
    items = [quick, service, quick, quick, long, Item("others"), Item("others"), Item(LONGEST[0])]
    found = [item.group for item in longest_first(items)]
    assert found == [LONGEST[0], LONGEST[1], "others", "others", "service", "quick", "quick", "quick"]


def test_each_long_group_exists():
    assert [name for name in LONGEST if name not in LONG_MADE and not (ROOT / name).is_file()] == []
