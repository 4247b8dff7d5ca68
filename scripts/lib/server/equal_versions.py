"""Choose one of several versions that runs made at the same moment under one name.

Tator allows several versions of one name, and a request does not see a version that is not committed yet. Versions
that were made at the same moment also have equal numbers, as Tator uses the highest number plus one. So name and number
identify them, and distinguish them from versions that were made earlier or later, or renamed. All runs use the version
with the lowest id. It may appear late. So a run that has made its version checks again before and after it uploads the
boxes or tracks of a media.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

_Settled = TypeVar("_Settled")


def made_at_once(versions: Iterable[Mapping[str, Any]], version_id: int) -> list[int]:
    """Return the sorted ids of the versions with the same name and number; empty if the version does not exist.

    Args:
        versions: the project's versions.
        version_id: id of the version.
    """
    listed = list(versions)
    same = [
        (version.get("name"), version.get("number")) for version in listed if version["id"] == version_id
    ]  # a list, as malformed values may not be hashable
    return sorted(version["id"] for version in listed if (version.get("name"), version.get("number")) in same)


def in_one_version(
    list_versions: Callable[[], list[int]], reconcile: Callable[[int], _Settled], empty: Callable[[int], object]
) -> _Settled:
    """Write a media's boxes into the first version, and remove them from the others; return the result of the first.

    Args:
        list_versions: function that returns the ids of the versions.
        reconcile: function that writes the media's boxes into a version.
        empty: function that removes the workflow's boxes of the media from a version.
    """
    while True:
        first, *others = versions = list_versions()
        settled = reconcile(first)
        for other in others:
            empty(other)
        if list_versions() == versions:
            return settled
