"""Versions that two runs made at the same moment under one name: which of them everybody takes.

Tator has no uniqueness on a version's name, and a request does not see a version that is not committed yet. Such
versions have equal numbers too, as Tator gives the highest plus one: by name and number they are known again, and never
confused with one that was made before or after, or renamed. The one with the lowest id is the one that all runs take.
It may turn up late. So a run that has made its version looks again for a while: before it uploads the boxes or tracks
of a media, and after.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

_Settled = TypeVar("_Settled")


def made_at_once(versions: Iterable[Mapping[str, Any]], version_id: int) -> list[int]:
    """Return the ids of the versions with this one's name and number, in order; none where it is not there.

    Args:
        versions: those of the project.
        version_id: one of them.
    """
    every = list(versions)
    same = [(one.get("name"), one.get("number")) for one in every if one["id"] == version_id]  # odd ones may not hash
    return sorted(one["id"] for one in every if (one.get("name"), one.get("number")) in same)


def in_one_version(
    look: Callable[[], list[int]], reconcile: Callable[[int], _Settled], empty: Callable[[int], object]
) -> _Settled:
    """Write what a media is to have into the first version, and remove it from the others; return what the first gave.

    Args:
        look: returns the ids of the versions.
        reconcile: writes into a version what the media is to have there.
        empty: removes from a version what the workflow made for the media.
    """
    while True:
        first, *others = versions = look()
        settled = reconcile(first)
        for other in others:
            empty(other)
        if look() == versions:
            return settled
