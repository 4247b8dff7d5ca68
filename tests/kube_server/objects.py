"""The objects of the cluster, by kind, namespace and name, and the objects whose owners were removed."""

import copy
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from .errors import conflict, not_found

Object = dict[str, Any]
KINDS = {
    ("", "pods"): "Pod",
    ("", "secrets"): "Secret",
    ("", "persistentvolumeclaims"): "PersistentVolumeClaim",
    ("", "events"): "Event",
    ("batch", "jobs"): "Job",
}
GROUP_VERSIONS = {"": "v1", "batch": "batch/v1"}


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Objects:
    """A store, which calls `removed` with each removed object. It must be used with the cluster's lock."""

    def __init__(self, removed: Callable[[Object], None]) -> None:
        self._found: dict[tuple[str, str, str], Object] = {}
        self._removed = removed
        self._version = 0

    def add(self, plural: str, namespace: str, body: Object) -> Object:
        name = body["metadata"]["name"]
        if there := self._found.get((plural, namespace, name)):
            raise conflict(plural, name, "deletionTimestamp" in there["metadata"])
        self._version += 1
        body["metadata"] |= {"namespace": namespace, "uid": str(uuid.uuid4()), "creationTimestamp": now()}
        body["metadata"]["resourceVersion"] = str(self._version)
        self._found[plural, namespace, name] = body
        return body

    def get(self, plural: str, namespace: str, name: str) -> Object:
        found = self._found.get((plural, namespace, name))
        if found is None:
            raise not_found(plural, name)
        return found

    def find(self, plural: str, namespace: str | None = None) -> list[Object]:
        return [one for key, one in self._found.items() if key[0] == plural and namespace in (None, key[1])]

    def has(self, item: Object) -> bool:
        return any(one is item for one in self._found.values())

    def remove(self, item: Object) -> None:
        """Remove an object, and the objects that only it owned."""
        keys = [key for key, one in self._found.items() if one is item]
        for key in keys:
            del self._found[key]
            self._removed(item)

    def dependents(self, owner: Object) -> Iterator[tuple[str, Object]]:
        """Yield plural and object of all objects with this owner."""
        for (plural, _, _), one in list(self._found.items()):
            if any(ref["uid"] == owner["metadata"]["uid"] for ref in one["metadata"].get("ownerReferences") or []):
                yield plural, one

    def orphans(self) -> list[tuple[str, Object]]:
        """Return the objects whose owners were all removed."""
        there = {one["metadata"]["uid"] for one in self._found.values()}
        found = []
        for (plural, _, _), one in self._found.items():
            owners = one["metadata"].get("ownerReferences") or []
            if owners and not any(ref["uid"] in there for ref in owners):
                found.append((plural, one))
        return found


def with_fields(items: list[Object], selector: str) -> list[Object]:
    """Return the objects whose fields are those of `metadata.name=x,involvedObject.uid=y`."""

    def field(item: Any, path: str) -> Any:
        for part in path.split("."):
            item = item[part]
        return item

    wanted = [term.split("=", 1) for term in selector.split(",") if term]
    return [item for item in items if all(field(item, path) == value for path, value in wanted)]


def selected(items: list[Object], selector: str) -> list[Object]:
    """Return copies of the objects that have all labels of `a=b,c=d`."""
    wanted = dict(term.split("=", 1) for term in selector.split(",") if term)
    return [copy.deepcopy(item) for item in items if wanted.items() <= (item["metadata"].get("labels") or {}).items()]
