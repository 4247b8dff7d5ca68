"""Check whether a media is marked as processed."""

from typing import Any


def is_marked(media: dict[str, Any], media_type: dict[str, Any], attribute: str) -> bool:
    """Return whether the attribute has a value other than the type's default or the reference workflow's "No"."""
    default = {kind["name"]: kind.get("default") for kind in media_type.get("attribute_types") or []}
    value = (media.get("attributes") or {}).get(attribute)
    return value not in (None, "", "No", default.get(attribute))
