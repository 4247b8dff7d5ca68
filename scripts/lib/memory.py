"""The memory that a job may use: its `mem_mb`, or else that of the machine or container."""

import os
from functools import cache
from pathlib import Path

_MEGABYTE = 1_000_000
_CGROUPS = Path("/sys/fs/cgroup")
# Of each generation of control groups: the folder below, and the file with the limit.
_LIMITS = (("", "memory.max"), ("memory", "memory.limit_in_bytes"))

_given: list[int] = []


def set_limit(megabytes: float | None) -> None:
    """Set the memory that this process may use.

    Args:
        megabytes: the job's mem_mb; None if it has none.
    """
    _given[:] = [] if megabytes is None else [int(megabytes * _MEGABYTE)]
    left.cache_clear()


def allowed() -> int:
    """Return how many bytes this process may use."""
    return _given[0] if _given else _of_machine()


@cache
def left() -> int:
    """Return how many of these bytes are left for media, measured once before the first media is opened."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return max(0, allowed() - pages * os.sysconf("SC_PAGE_SIZE"))


def megabytes(count: float) -> int:
    """Return a number of bytes in megabytes, rounded up."""
    return -int(-count // _MEGABYTE)


def _of_machine() -> int:
    """Return the machine's memory, or the least limit of the control groups that this process is in."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    own = Path("/proc/self/cgroup").read_text().splitlines()
    places = {Path(line.split(":", 2)[2].lstrip("/")) for line in own}
    for below, name in _LIMITS:
        for place in {above for each in places for above in (each, *each.parents)}:
            limit = _CGROUPS / below / place / name
            text = limit.read_text().strip() if limit.is_file() else ""
            found += [int(text)] if text.isdigit() else []
    return min(found)
