"""The memory that a job may use: its `mem_mb`, or else that of the machine or container."""

import os
from functools import cache
from pathlib import Path

_MEGABYTE = 1_000_000
_CGROUPS = Path("/sys/fs/cgroup")
# For each version of control groups: the sub-folder, and the file with the limit.
_LIMITS = (("", "memory.max"), ("memory", "memory.limit_in_bytes"))

_limit: list[int] = []


def set_limit(megabytes: float | None) -> None:
    """Set the memory that this process may use.

    Args:
        megabytes: the job's mem_mb; None if it has none.
    """
    _limit[:] = [] if megabytes is None else [int(megabytes * _MEGABYTE)]
    left.cache_clear()


def allowed() -> int:
    """Return the number of bytes that this process may use."""
    return _limit[0] if _limit else _machine_limit()


@cache
def left() -> int:
    """Return the number of these bytes that are left for media, measured once before the first media is opened."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return max(0, allowed() - pages * os.sysconf("SC_PAGE_SIZE"))


def megabytes(count: float) -> int:
    """Return a number of bytes in megabytes, rounded up."""
    return -int(-count // _MEGABYTE)


def _machine_limit() -> int:
    """Return the machine's memory, or the least limit of the control groups that this process is in."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    groups = {Path(line.split(":", 2)[2].lstrip("/")) for line in lines}
    for folder, name in _LIMITS:
        for group in {parent for each in groups for parent in (each, *each.parents)}:
            path = _CGROUPS / folder / group / name
            text = path.read_text().strip() if path.is_file() else ""
            found += [int(text)] if text.isdigit() else []
    return min(found)
