"""Check that a Tator project has the types, attributes and versions that boxes and marks need."""

import logging
import reprlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from scripts.lib.errors import ServerError
from scripts.lib.network_access.retry import answer_seconds, retrying
from scripts.lib.server import rows, values
from scripts.lib.server.api import Project
from scripts.lib.server.faults import LostAnswer, Refused
from scripts.lib.server.unanswered import Notes, UnansweredWrites, pause

# The end of each description that the workflow writes for a version, by which it recognizes its descriptions.
OUR_WORDS = "made by the detection workflow; people's edits are kept"

# The largest number of characters of a name in Tator to show.
_LONGEST_SHOWN = 200

_Made = TypeVar("_Made")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Need:
    """An attribute that a type must have.

    Attributes:
        setting: name of the setting that names the attribute.
        attribute: name of the attribute.
        dtypes: the allowed data types; a missing attribute is created with the first one.
    """

    setting: str
    attribute: str
    dtypes: tuple[str, ...]


def of_boxes(species: str, confidence: str) -> tuple[Need, Need]:
    """Return the attributes that the box type must have."""
    return (
        Need("upload.species_attribute", species, ("string", "enum")),
        Need("upload.confidence_attribute", confidence, ("float",)),
    )


def of_tracks(species: str, confidence: str, length: str | None) -> tuple[Need, ...]:
    """Return the attributes that the track type must have; `length` is None if the number of boxes is not written."""
    needs = of_boxes(species, confidence)
    return needs if length is None else (*needs, Need("upload.track_length_attribute", length, ("int",)))


def of_media(mark: str) -> Need:
    """Return the attribute that a media type must have for the mark."""
    return Need("mark.attribute", mark, ("string",))


def of_counts(attributes: Iterable[str]) -> list[Need]:
    """Return the further attributes that a media type must have if counts become attributes of the media."""
    return [Need("counts.attributes", name, ("int", "float")) for name in attributes]


def has(owner: Mapping[str, Any], name: str) -> bool:
    """Return whether a type has an attribute of this name, of any data type."""
    return any(attribute["name"] == name for attribute in _attributes(owner))


def missing_attribute(owner: Mapping[str, Any], what: str, need: Need) -> str | None:
    """Return a message about a missing attribute, or None: Tator silently drops attributes that a type does not have.

    Args:
        owner: the type.
        what: kind of type, for the message.
        need: the attribute.
    """
    if any(one["name"] == need.attribute and one["dtype"] in need.dtypes for one in _attributes(owner)):
        return None
    present = ", ".join(f"{attribute['name']} ({attribute['dtype']})" for attribute in _attributes(owner)) or "none"
    return (
        f"{need.setting}: {what} {owner['name']!r} has no {' or '.join(need.dtypes)} attribute {need.attribute!r}; "
        f"it has {present}; add it in the project's settings or name another one"
    )


def unset_required(owner: Mapping[str, Any], needs: Iterable[Need], what: str = "box") -> str | None:
    """Return a message about required attributes that the workflow does not write, or None: Tator would refuse boxes.

    Args:
        owner: the type.
        needs: the attributes that the workflow writes.
        what: `box` or `track`, for the message.
    """
    ours = {need.attribute for need in needs}
    unset = [
        one["name"]
        for one in _attributes(owner)
        if one["name"] not in ours
        and one.get("required", True)
        and not (one.get("use_current") if one["dtype"] == "datetime" else "default" in one)
    ]
    if not unset:
        return None
    return (
        f"{what} type {owner['name']!r} requires {', '.join(map(repr, unset))} of each {what}, which the workflow does "
        "not know; give the attribute a default in the project's settings, or make it optional"
    )


def check_attributes(owner: Mapping[str, Any], needs: Sequence[Need], species: Sequence[str], what: str) -> None:
    """Check that Tator would store what the workflow writes.

    Args:
        owner: the type.
        needs: the attributes that the workflow writes; the first one is that for the species.
        species: the names of the species.
        what: `box` or `track`, for the message.

    Raises:
        ServerError: an attribute does not fit; the message names the type's attributes.
    """
    problems = [missing_attribute(owner, f"{what} type", need) for need in needs]
    if problem := next(filter(None, [*problems, unset_required(owner, needs, what)]), None):
        raise ServerError(problem)
    attribute = needs[0].attribute
    choices = next(one for one in _attributes(owner) if one["name"] == attribute).get("choices") or ()
    unknown = [name for name in species if choices and name not in choices]
    if unknown:
        raise ServerError(
            f"attribute {attribute!r} of {what} type {owner['name']!r} allows {', '.join(choices)}; the network also "
            f"knows {', '.join(unknown)}: add them to the attribute's choices"
        )


def shown(value: Any) -> str:
    """Return a value for a message: a short text unchanged, other values shortened."""
    plain = isinstance(value, str) and len(value) < _LONGEST_SHOWN and values.is_unicode(value)
    return str(value) if plain else reprlib.repr(value)


def _attributes(owner: Mapping[str, Any]) -> list[dict[str, Any]]:
    return owner.get("attribute_types") or []  # null for a type that never had one


def pick(items: list[dict[str, Any]], key: str, value: int, setting: str) -> dict[str, Any]:
    """Return the item that a setting names by number.

    Raises:
        ServerError: there is none; the message names those of the project.
    """
    for item in items:
        if item.get(key) == value and not isinstance(item.get(key), bool):
            return item
    present = ", ".join(f"{shown(item.get(key))} ({shown(item.get('name'))})" for item in items) or "none"
    raise ServerError(f"{setting}: the project has no {value}; it has {present}")


def chosen_version(versions: list[dict[str, Any]], key: str, value: int, setting: str) -> dict[str, Any]:
    """Return the version that a setting names by number.

    Raises:
        ServerError: there is none, and the message names those of the project; or it cannot be used.
    """
    found = pick(versions, key, value, setting)
    rows.require_version(found)
    return found


def box_type(types: list[dict[str, Any]], type_id: int) -> dict[str, Any]:
    """Return the type of the boxes.

    Raises:
        ServerError: there is no such type, or it is not a box type.
    """
    found = pick(types, "id", type_id, "upload.localization_type_id")
    rows.require_type("box type", found)
    if found["dtype"] != "box":
        raise ServerError(
            f"localization type {found['name']!r} ({type_id}) is of the kind {found['dtype']}; "
            "expected a box type in upload.localization_type_id"
        )
    return found


def track_type(types: list[dict[str, Any]], type_id: int) -> dict[str, Any]:
    """Return the type of the tracks.

    Raises:
        ServerError: there is no such type, or its states are not tracks.
    """
    tracks = [kind for kind in types if kind.get("association") == "Localization"]
    names = ", ".join(f"{kind['id']} ({shown(kind.get('name'))})" for kind in tracks) or "none"
    found = next((kind for kind in types if kind["id"] == type_id), None)
    if found is None:
        raise ServerError(
            f"upload.track_type_id: the project has no {type_id}; of its state types these are of tracks: {names}"
        )
    rows.require_type("state type", found)
    if found not in tracks:
        raise ServerError(
            f"upload.track_type_id: state type {found['name']!r} ({type_id}) has the association "
            f"{shown(found.get('association'))}; expected Localization, as these have: {names}"
        )
    return found


def version_named(
    project: Project, name: str, description: str, notes: Notes | None = None
) -> tuple[dict[str, Any], bool]:
    """Return the version of this name, created with this description if missing, and whether it was created.

    Two concurrent runs may both create one; all runs use the oldest version of a name, see equal_versions.py.

    Args:
        project: the project.
        name: name of the version.
        description: description of a new version.
        notes: the notes of unanswered writes, with which a job waits for the version of an earlier, killed job.

    Raises:
        ServerError: Tator refuses, or fails until the retries end.
    """

    def named() -> list[dict[str, Any]]:
        return sorted((v for v in project.versions() if v.get("name") == name), key=lambda v: int(v["id"]))

    writes = UnansweredWrites(notes)
    new = not named()

    def make() -> dict[str, Any]:
        _wait_for(lambda: bool(named()), lambda: writes.seconds_left(making=True))
        if not named():
            _log.info("making version %r", name)
            writes.send(lambda: project.create_version(name, description), [name], makes=True)
        if not (found := named()):
            raise ServerError(f"Tator does not list the version {name!r} that was made; ask who runs the site")
        return found[0]

    found = _retry_lost_answer(make)
    writes.forget()
    rows.require_version(found)
    return found, new


def make_once(exists: Callable[[], bool], make: Callable[[], None]) -> None:
    """Create an object unless it exists; after a lost answer check until the server must have ended the request.

    A refusal is ignored if the object exists by then, as somebody else created it after the first check.

    Args:
        exists: function that returns whether the object exists.
        make: function that creates it.

    Raises:
        ServerError: Tator refuses, or fails until the retries end.
    """
    until = 0.0

    def make_if_missing() -> None:
        nonlocal until
        _wait_for(exists, lambda: max(0.0, until - time.monotonic()))
        if exists():
            return
        try:
            make()
        except LostAnswer as lost:
            until = max(until, lost.under_way_until)
            raise
        except Refused:
            if not exists():
                raise

    _retry_lost_answer(make_if_missing)


def _wait_for(exists: Callable[[], bool], seconds_left: Callable[[], float]) -> None:
    """Check until an object exists, or no time is left."""
    checks = 0
    while (remaining := seconds_left()) and not exists():
        pause(remaining, checks)
        checks += 1


def _retry_lost_answer(make: Callable[[], _Made]) -> _Made:
    try:
        return retrying(LostAnswer, extra_seconds=answer_seconds())(make)
    except LostAnswer as lost:
        raise ServerError(f"{lost}; run again later") from None


def check_media_types(types: Mapping[int, Mapping[str, Any]], used: Iterable[int], needs: Sequence[Need]) -> None:
    """Refuse media whose types lack an attribute that this run writes, before any work is done.

    Args:
        types: the project's media types, by id.
        used: the types of the media.
        needs: the attributes that each must have.

    Raises:
        ServerError: a type lacks an attribute.
    """
    problems = [
        problem
        for type_id in sorted(used)
        if types[type_id]["dtype"] in ("video", "image")
        for need in needs
        if (problem := missing_attribute(types[type_id], f"media type {type_id}", need))
    ]
    if problems:
        raise ServerError("\n".join(problems))
