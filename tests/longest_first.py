"""The order in which workers start groups of tests: the longest first, so that none of them starts last."""

from collections.abc import Sequence

import pytest

# The groups that take most of CI's time, the longest first. Add new ones that take more than half a minute.
LONGEST = (
    "built_image",
    "tests/faults/test_one_media.py",
    "tests/kubernetes/test_cluster_events.py",
    "tests/faults/test_away_server.py",
    "tests/test_many.py",
    "tests/kubernetes/test_s3.py",
    "tests/slurm/test_slurm.py",
    "tests/test_end_to_end.py",
    "tests/kubernetes/test_repairs.py",
    "tests/faults/test_at_once.py",
    "tests/kubernetes/test_official.py",
    "tests/kubernetes/test_fan_out.py",
    "tests/faults/test_killed.py",
    "tests/test_documents_commands.py",
    "tests/faults/test_killed_folder.py",
    "tests/faults/test_disk.py",
    "tests/faults/test_memory.py",
    "tests/faults/test_server.py",
    "tests/kubernetes/test_stopping.py",
    "tests/kubernetes/test_private_registry.py",
    "tests/test_workflow.py",
)
# Folders from which `make test-unit` runs the quick tests.
_UNIT = ("tests/helpers/", "tests/lib/", "tests/scripts/", "tests/unit/")


def longest_first(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the tests sorted by group: groups of LONGEST, then others, then those that `make test-unit` runs.

    Among these, groups with more tests come first.
    """
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(_group_of(item), []).append(item)
    ranks = {name: rank for rank, name in enumerate(LONGEST)}

    def key(name: str) -> tuple[int, bool, int]:
        tests = groups[name]
        return ranks.get(name, len(ranks)), all(map(_is_quick, tests)), -len(tests)

    return [item for name in sorted(groups, key=key) for item in groups[name]]


def _group_of(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker else item.nodeid


def _is_quick(item: pytest.Item) -> bool:
    return item.nodeid.startswith(_UNIT) and item.get_closest_marker("unit") is not None
