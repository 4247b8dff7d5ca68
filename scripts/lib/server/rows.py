"""Check rows of Tator's answers other than media when they are read, so that a malformed row causes a clear error.

A list may contain rows that a run does not need: rows without a usable id are left out and logged, and the rest of a
row is checked when it is used, so that a malformed row does not affect the others.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from scripts.lib.server import values
from scripts.lib.server.faults import Unusable

Row = Mapping[str, Any]

_REMEDY = "correct it in Tator, or ask who runs the site"

_log = logging.getLogger(__name__)


@contextmanager
def used_for(what: str) -> Iterator[None]:
    """Turn an error about an invalid value into one that names the purpose of the request.

    Raises:
        Unusable: a value is invalid.
    """
    try:
        yield
    except values.OddValue as odd:
        raise Unusable(f"{what}: Tator's answer cannot be used: {odd}; {_REMEDY}") from None


def listed(what: str, answer: Any) -> list[dict[str, Any]]:
    """Return the rows of a list that have an id.

    Raises:
        Unusable: the answer is not a list.
    """
    with used_for(what):
        rows = values.array(answer, "it")
    found = []
    for row in rows:
        try:
            number = identifier(row)
        except values.OddValue as odd:
            _log.warning("%s: a row is left out: %s; %s", what, odd, _REMEDY)
        else:
            found.append({**row, "id": number})
    return found


def identifier(row: Any) -> int:
    """Return a row's id.

    Raises:
        OddValue: the row has no usable id.
    """
    return values.whole(values.mapping(row, "a row").get("id"), "the id of a row", values.LARGEST_ID)


def address(row: Any) -> str:
    """Return a presigned address, which is secret and does not appear in messages.

    Raises:
        OddValue: the row has no usable address.
    """
    found = values.mapping(row, "an entry").get("url")
    if not isinstance(found, str) or not found.isprintable():
        raise values.OddValue("url", type(found), "an address")
    return found


def single(what: str, answer: Any) -> dict[str, Any]:
    """Return an answer that is a single object.

    Raises:
        Unusable: the answer is not an object.
    """
    with used_for(what):
        return dict(values.mapping(answer, "it"))


def require_type(kind: str, row: Row) -> None:
    """Refuse a type of media or localizations whose name, kind or attributes cannot be used.

    Args:
        kind: the kind of type, for the message.
        row: the type.

    Raises:
        Unusable: a value is invalid; the message names it.
    """
    with used_for(f"{kind} {row['id']}"):
        values.text(row.get("name"), "name")
        values.text(row.get("dtype"), "dtype")
        for attribute in values.array(row.get("attribute_types") or [], "attribute_types"):
            found = values.mapping(attribute, "an attribute")
            name = values.text(found.get("name"), "the name of an attribute")
            values.text(found.get("dtype"), f"dtype of the attribute {name!r}")
            for choice in values.array(found.get("choices") or [], f"choices of the attribute {name!r}"):
                values.text(choice, f"a choice of the attribute {name!r}")


def encodes_originals(media_type: Row) -> bool:
    """Return whether Tator stores originals of a media type only after it has encoded them again.

    Raises:
        Unusable: a value is invalid; the message names it.
    """
    with used_for(f"media type {media_type['id']}"):
        configs = values.array(media_type.get("archive_config") or [], "archive_config")
        encodings = [values.mapping(config, "an entry of archive_config").get("encode") for config in configs]
        codecs = [values.mapping(each, "encode in archive_config").get("vcodec") for each in encodings]
        return bool(codecs) and "copy" not in codecs


def require_version(row: Row) -> None:
    """Refuse a version whose name or description cannot be used.

    Raises:
        Unusable: a value is invalid; the message names it.
    """
    with used_for(f"version {row['id']}"):
        values.text(row.get("name"), "name")
        values.optional_text(row.get("description"), "description")


def bases(versions: Iterable[Row], version_id: int) -> list[int]:
    """Return the versions that a version is based on, whose boxes and tracks Tator's pages show with its own.

    Raises:
        Unusable: a value is invalid; the message names it.
    """
    what = f"the bases of version {version_id}"
    with used_for("list versions"):
        found = [
            base for row in versions if row["id"] == version_id for base in values.array(row.get("bases") or [], what)
        ]
        return [values.whole(base, what) for base in found]


def current(listed: Iterable[Row], version_id: int) -> dict[str, Row]:
    """Return the current row of each box or track, by elemental id.

    Rows of the version itself come before those of its bases, also if the base's was edited later.

    Args:
        listed: checked rows of a version and its bases.
        version_id: the version.
    """
    in_order = sorted(listed, key=lambda row: (row["version"] == version_id, row["mark"], row["id"]))
    return {row["elemental_id"]: row for row in in_order}


def box(what: str, row: Any) -> dict[str, Any]:
    """Return a localization, checked.

    Raises:
        Unusable: a value is invalid; the message names it.
    """
    return _checked(what, row, "localization", _BOX_CHECKS)


def track(what: str, row: Any) -> dict[str, Any]:
    """Return a state whose type is associated with localizations, checked.

    Raises:
        Unusable: a value is invalid; the message names it.
    """
    found = _checked(what, row, "state", _TRACK_CHECKS)
    return {**found, "localizations": found["localizations"] or []}


def _checked(what: str, row: Any, kind: str, checks: Mapping[str, Callable[[Any, str], Any]]) -> dict[str, Any]:
    with used_for(what):
        found, number = {**dict.fromkeys(checks), **values.mapping(row, "a row")}, identifier(row)
        for key, check in checks.items():
            check(found[key], f"{key} of {kind} {number}")
        if found["elemental_id"] is None:  # a row of an earlier version of Tator, which is identified by its id
            found["elemental_id"] = f"row {number}"
        return found


def place(localization: Row) -> tuple[float, float, float, float]:
    """Return x, y, width and height of a localization, in fractions of the picture's sides.

    Raises:
        Unusable: the localization has no position.
    """
    x, y, width, height = (localization[key] for key in ("x", "y", "width", "height"))
    if None in (x, y, width, height):
        raise Unusable(
            f"media {localization['media']}: localization {localization['id']} has no position; correct or delete it "
            "in Tator"
        )
    return float(x), float(y), float(width), float(height)


def _optional(check: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    return lambda value, what: None if value is None else check(value, what)


def _flag(value: Any, what: str) -> None:
    if value not in (None, True, False):
        raise values.OddValue(what, value, "true or false")


def _ids(value: Any, what: str) -> None:
    for number in values.array(value, what):
        values.whole(number, f"an id in {what}", values.LARGEST_ID)


def _runs(value: Any, what: str) -> None:
    for run in values.array(value, what):
        for number in values.array(run, f"a part of {what}"):
            values.optional_whole(number, f"a frame in {what}")


_ROW_CHECKS: Mapping[str, Callable[[Any, str], Any]] = {
    "mark": values.whole,
    "elemental_id": values.optional_text,
    "variant_deleted": _flag,
    "attributes": _optional(values.mapping),
    "modified_datetime": values.optional_time,
}
_BOX_CHECKS: Mapping[str, Callable[[Any, str], Any]] = {
    "media": values.whole,
    "version": values.whole,
    "frame": values.optional_whole,
    **_ROW_CHECKS,
    **dict.fromkeys(("x", "y", "width", "height"), _optional(values.coordinate)),
}
_TRACK_CHECKS: Mapping[str, Callable[[Any, str], Any]] = {
    "type": values.whole,
    "version": values.whole,
    **_ROW_CHECKS,
    "localizations": _optional(_ids),
    "segments": _optional(_runs),
}
