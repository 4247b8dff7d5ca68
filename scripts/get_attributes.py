"""Get the section and the attributes of the media from Tator; they become columns of the tables of counts."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scripts.lib.records import MediaRecord
from scripts.lib.records.attributes_file import write_attributes
from scripts.lib.records.record_files import read_record
from scripts.lib.records.summary import MediaAttributes
from scripts.lib.server.api import Project
from scripts.lib.workflow.jobs import job

# The prefix of attributes that Tator itself uses.
_RESERVED_PREFIX = "tator_"


def get_attributes(
    *,
    records: list[Path],
    host: str,
    project_id: int,
    mark_attribute: str,
    attributes: Path,
    count_attributes: Sequence[str] = (),
) -> None:
    """Write for each media the name of its section and its current attributes.

    The record of resolve_media does not have them, since no box depends on them.

    Args:
        records: the records of resolve_media, a file for each media; those that are not ready are left out.
        host: Tator's address.
        project_id: the project.
        mark_attribute: the attribute that marks a media as processed, which is left out.
        attributes: the JSON file to write: by media id `section`, None if it is in none, and `attributes`.
        count_attributes: the attributes that write_counts sets; left out too, as each run may change them.

    Raises:
        ServerError: Tator refuses, or fails until the retries end.
    """
    ready = sorted(
        record.media_id for record in (read_record(MediaRecord, path) for path in records) if record.state == "ready"
    )
    write_attributes(attributes, _each(ready, host, project_id, {mark_attribute, *count_attributes}) if ready else ())


def _each(
    media_ids: list[int], host: str, project_id: int, left_out: set[str]
) -> Iterator[tuple[int, MediaAttributes]]:
    project = Project(host, project_id)
    sections = {
        section["id"]: section["name"] for section in project.sections() if isinstance(section.get("name"), str)
    }
    for media in project.each_media(media_ids):
        yield media["id"], _described(media, sections, left_out)


def _described(media: dict[str, Any], sections: dict[int, str], left_out: set[str]) -> MediaAttributes:
    values, section = media.get("attributes"), media.get("primary_section")
    return MediaAttributes(
        section=sections.get(section) if isinstance(section, int) else None,
        attributes={
            _unicode(name): _unicode(value)
            for name, value in (values if isinstance(values, dict) else {}).items()
            if name not in left_out and not name.startswith(_RESERVED_PREFIX)
        },
    )


def _unicode(value: Any) -> Any:
    """Return a text with U+FFFD for characters that UTF-8 cannot encode; other values unchanged."""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(value, str) else value


if __name__ == "__main__":
    job.run(get_attributes, snakemake)  # type: ignore[name-defined]
