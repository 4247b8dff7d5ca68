"""Counts of animals as attributes of the media in Tator."""

from dataclasses import dataclass
from typing import Annotated

from scripts.lib.records.keys import MediaId
from scripts.lib.records.record_files import Key

_BY_MEDIA = {"type": "object", "additionalProperties": {"type": "string"}}


@dataclass(frozen=True, kw_only=True)
class CountsInTator:
    """The media whose attributes contain their counts, and those whose attributes do not."""

    attributes: Annotated[
        dict[str, str],
        Key("The attribute of each species, from `counts.attributes`.", schema=_BY_MEDIA),
    ]
    media_ids: Annotated[
        list[MediaId], Key("Media whose attributes contain their counts, except attributes with a person's value.")
    ]
    people: Annotated[
        dict[str, list[str]],
        Key(
            "Attributes with a person's value, which is kept, by media id.",
            schema={"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
        ),
    ]
    missing: Annotated[list[MediaId], Key("Deleted while the workflow ran.")]
    failed: Annotated[dict[str, str], Key("Why the counts of a media are not in Tator, by its id.", schema=_BY_MEDIA)]
