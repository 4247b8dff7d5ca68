"""Check the destination of the boxes before any work is done, and create the version if it is missing."""

import logging
from pathlib import Path
from typing import Any

from scripts.lib.errors import ServerError
from scripts.lib.record_files import read_record, write_record
from scripts.lib.records import DestinationRecord
from scripts.lib.records.network import ProvenanceRecord
from scripts.lib.server import project_needs
from scripts.lib.server.api import Project
from scripts.lib.train_ini import species as read_species
from scripts.lib.uploads import known_attributes
from scripts.lib.workflow import job

_log = logging.getLogger(__name__)


def prepare_upload(
    *,
    train_ini: Path,
    provenance: Path,
    host: str,
    project_id: int,
    localization_type_id: int,
    species_attribute: str,
    confidence_attribute: str,
    version: str,
    version_id: int | None,
    version_number: int | None,
    destination: Path,
) -> None:
    """Write version, box type and attributes of the upload, all checked against the project.

    Args:
        train_ini: the network's species.
        provenance: where the network came from; a version that is made says so in its description.
        host: Tator's address.
        project_id: the project.
        localization_type_id: the box type.
        species_attribute: its attribute for the species, string or enum.
        confidence_attribute: its attribute for the score, float.
        version: name of the version; made when the project has none of that name.
        version_id: an existing version in its place, or None.
        version_number: an existing version's running number in its place, or None.
        destination: where the outcome goes.

    Raises:
        ServerError: type, attribute or version do not fit, naming what the project has.
    """
    project = Project(host, project_id)
    box_type = project_needs.box_type(project.localization_types(), localization_type_id)
    _check_attributes(box_type, species_attribute, confidence_attribute, read_species(train_ini))
    network = read_record(ProvenanceRecord, provenance)
    if version_id is not None:
        chosen = project_needs.chosen_version(project.versions(), "id", version_id, "upload.version_id")
    elif version_number is not None:
        chosen = project_needs.chosen_version(project.versions(), "number", version_number, "upload.version_number")
    else:
        chosen = project_needs.version_named(project, version, _description(project, "", network, box_type))
    _describe(project, chosen, network, box_type)
    write_record(
        destination,
        DestinationRecord(
            version_id=chosen["id"],
            version=chosen["name"],
            type_id=box_type["id"],
            species_attribute=species_attribute,
            confidence_attribute=confidence_attribute,
            defaults={
                a["name"]: a["default"] for a in (box_type.get("attribute_types") or []) if a.get("default") is not None
            },
            known=known_attributes.merged(
                known_attributes.from_description(str(chosen.get("description") or "")), box_type, project.clock.now()
            ),
        ),
    )


def _check_attributes(box_type: dict[str, Any], species: str, confidence: str, names: list[str]) -> None:
    needs = project_needs.of_boxes(species, confidence)
    lacks = [project_needs.missing_attribute(box_type, "box type", need) for need in needs]
    if problem := next(filter(None, [*lacks, project_needs.unset_required(box_type, needs)]), None):
        raise ServerError(problem)
    choices = next(one for one in (box_type.get("attribute_types") or []) if one["name"] == species).get("choices")
    unknown = [name for name in names if choices and name not in choices]
    if unknown:
        raise ServerError(
            f"attribute {species!r} of box type {box_type['name']!r} allows {', '.join(choices)}; the network also "
            f"knows {', '.join(unknown)}: add them to the attribute's choices"
        )


def _description(project: Project, before: str, network: ProvenanceRecord, box_type: dict[str, Any]) -> str:
    """Return a description that says of which network the version's boxes are.

    It says too which attributes and defaults the box type had while boxes were made; see known_attributes.py.
    """
    graph = next(file.sha256 for name, file in network.files.items() if name != "train.ini")
    what = f"Boxes of the network {network.reference} ({network.digest or 'no digest'}, graph sha256:{graph}), "
    known = known_attributes.merged(known_attributes.from_description(before), box_type, project.clock.now())
    return known_attributes.to_description(what, known, project_needs.OUR_WORDS)


def _describe(project: Project, version: dict[str, Any], network: ProvenanceRecord, box_type: dict[str, Any]) -> None:
    """Renew a version's description, however the version was chosen; but only one that the workflow wrote."""
    before = str(version.get("description") or "")
    description = _description(project, before, network, box_type)
    if before != description and before.endswith(project_needs.OUR_WORDS):
        _log.info("version %r gets the description of this run's network", version["name"])
        project.describe_version(version["id"], description)


if __name__ == "__main__":
    job.run(prepare_upload, snakemake)  # type: ignore[name-defined]
