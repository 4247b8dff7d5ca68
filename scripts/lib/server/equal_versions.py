"""Choose one of several versions that runs made at the same moment under one name.

Tator allows several versions of one name, and a request does not see a version that is not committed yet. Such
versions also have equal numbers, as Tator uses the highest plus one. So name and number identify them, and distinguish
them from versions that were made before or after, or renamed. All runs use the one with the lowest id.
It may appear late. So a run that has made its version checks again: before it uploads the boxes or tracks
of a media, and afterwards.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

_Settled = TypeVar("_Settled")


def made_at_once(versions: Iterable[Mapping[str, Any]], version_id: int) -> list[int]:
    """Return the ids of the versions with this one's name and number, in order; none if it does not exist.

    Args:
        versions: the project's versions.
        version_id: one of them.
    """
    every = list(versions)
    same = [
        (one.get("name"), one.get("number")) for one in every if one["id"] == version_id
    ]  # malformed ones may not be hashable
    return sorted(one["id"] for one in every if (one.get("name"), one.get("number")) in same)


def in_one_version(
    look: Callable[[], list[int]], reconcile: Callable[[int], _Settled], empty: Callable[[int], object]
) -> _Settled:
    """Write a media's boxes into the first version, and remove them from the others; return the first one's result.

    Args:
        look: returns the ids of the versions.
        reconcile: writes the media's boxes into a version.
        empty: removes the workflow's boxes of the media from a version.
    """
    while True:
        first, *others = versions = look()
        settled = reconcile(first)
        for other in others:
            empty(other)
        if look() == versions:
            return settled
