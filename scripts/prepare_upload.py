"""Check the destination of the boxes before any work is done, and create the version if it is missing."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from scripts.lib.errors import SettingsError
from scripts.lib.graphs.train_ini import species as read_species
from scripts.lib.records import DestinationRecord, TracksDestination
from scripts.lib.records.network import ProvenanceRecord
from scripts.lib.records.record_files import read_record, write_record
from scripts.lib.server import project_needs
from scripts.lib.server.api import Project
from scripts.lib.server.equal_versions import made_at_once
from scripts.lib.server.unanswered import Notes
from scripts.lib.uploads import known_attributes
from scripts.lib.workflow.jobs import job

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
    track_type_id: int | None = None,
    track_length_attribute: str | None = None,
    counted_species: Sequence[str] = (),
    true_versions: Mapping[str, int] = MappingProxyType({}),
) -> None:
    """Check version, types and attributes of the upload against the project, and write them.

    Args:
        train_ini: the network's species.
        provenance: the record of the network's source, which is named in the description of the version.
        host: Tator's address.
        project_id: id of the project.
        localization_type_id: id of the box type.
        species_attribute: attribute of the box type for the species, string or enum.
        confidence_attribute: attribute of the box type for the score, float.
        version: name of the version, which is created if the project has none of this name.
        version_id: id of an existing version to use instead, or None.
        version_number: number of an existing version to use instead, or None.
        destination: the JSON file to write.
        track_type_id: id of the state type of tracks, with attributes of the same names for species and confidence;
            None if tracks are not uploaded.
        track_length_attribute: attribute of the track type for the number of boxes, int; None if there is none.
        counted_species: the species whose counts become attributes of the media.
        true_versions: the ids of the versions with true boxes and tracks, by the setting that names them.

    Raises:
        ServerError: type, attribute or version do not fit; the message names those of the project.
        SettingsError: the network has no such species; the message names those of the network. Or the version is also
            one of true boxes or tracks.
    """
    names = read_species(train_ini)
    if unknown := [name for name in counted_species if name not in names]:
        raise SettingsError(
            f"counts.attributes: the network has no species {', '.join(map(repr, unknown))}; "
            f"it has {', '.join(map(repr, names))}; write the names as train.ini has them"
        )
    project = Project(host, project_id)
    box_type = project_needs.box_type(project.localization_types(), localization_type_id)
    project_needs.check_attributes(
        box_type, project_needs.of_boxes(species_attribute, confidence_attribute), names, "box"
    )
    track_type = None
    if track_type_id is not None:
        track_type = project_needs.track_type(project.state_types(), track_type_id)
        needs = project_needs.of_tracks(species_attribute, confidence_attribute, track_length_attribute)
        project_needs.check_attributes(track_type, needs, names, "track")
    network = read_record(ProvenanceRecord, provenance)
    new, others = False, list[int]()
    if version_id is not None:
        chosen = project_needs.chosen_version(project.versions(), "id", version_id, "upload.version_id")
    elif version_number is not None:
        chosen = project_needs.chosen_version(project.versions(), "number", version_number, "upload.version_number")
    else:
        description = _description(project, "", network, box_type, track_type)
        notes = Notes.of_run(destination, "version", destination)
        chosen, new = project_needs.version_named(project, version, description, notes)
        others = [one for one in made_at_once(project.versions(), chosen["id"]) if one != chosen["id"]]
    if both := [setting for setting, true_version in true_versions.items() if true_version == chosen["id"]]:
        raise SettingsError(
            f"{', '.join(both)}: {chosen['id']} is version {chosen['name']!r}, to which the workflow uploads; expected "
            "another one, as its own boxes would count as true: name another version under evaluate, or under upload"
        )
    _describe(project, chosen, network, box_type, track_type)
    attributes = {"species_attribute": species_attribute, "confidence_attribute": confidence_attribute}
    tracks = None
    if track_type is not None:
        tracks = TracksDestination(
            type_id=track_type["id"],
            **attributes,
            length_attribute=track_length_attribute,
            defaults=_defaults(track_type),
            known=_known(track_type, chosen, project, known_attributes.OF_TRACKS),
        )
    write_record(
        destination,
        DestinationRecord(
            version_id=chosen["id"],
            version=chosen["name"],
            type_id=box_type["id"],
            **attributes,
            defaults=_defaults(box_type),
            known=_known(box_type, chosen, project, known_attributes.OF_BOXES),
            tracks=tracks,
            made_at=datetime.now(UTC).isoformat(timespec="seconds") if new else None,
            made_beside=others or None,
        ),
    )


def _defaults(owner: dict[str, Any]) -> dict[str, Any]:
    return {a["name"]: a["default"] for a in owner.get("attribute_types") or [] if a.get("default") is not None}


def _known(owner: dict[str, Any], version: dict[str, Any], project: Project, of: str) -> dict[str, list[Any]]:
    """Return the attributes and defaults that a type has had over time."""
    known = known_attributes.from_description(str(version.get("description") or ""), of)
    return known_attributes.merged(known, owner, project.clock.now())


def _description(
    project: Project,
    before: str,
    network: ProvenanceRecord,
    box_type: dict[str, Any],
    track_type: dict[str, Any] | None,
) -> str:
    """Return the description of a version, with the network of its boxes.

    It also contains the attributes and defaults that the types had when boxes and tracks were created; see
    known_attributes.py.
    """
    graph = next(file.sha256 for name, file in network.files.items() if name != "train.ini")
    what = f"Boxes of the network {network.reference} ({network.digest or 'no digest'}, graph sha256:{graph}), "
    known = {of: known_attributes.from_description(before, of) for of in known_attributes.KINDS}
    for of, owner in ((known_attributes.OF_BOXES, box_type), (known_attributes.OF_TRACKS, track_type)):
        if owner:
            known[of] = known_attributes.merged(known[of], owner, project.clock.now())
    return known_attributes.to_description(what, known, project_needs.OUR_WORDS)


def _describe(
    project: Project,
    version: dict[str, Any],
    network: ProvenanceRecord,
    box_type: dict[str, Any],
    track_type: dict[str, Any] | None,
) -> None:
    """Update the description of a version, if the workflow wrote it."""
    before = str(version.get("description") or "")
    description = _description(project, before, network, box_type, track_type)
    if before != description and before.endswith(project_needs.OUR_WORDS):
        _log.info("version %r gets the description of this run's network", version["name"])
        project.describe_version(version["id"], description)


if __name__ == "__main__":
    job.run(prepare_upload, snakemake)  # type: ignore[name-defined]
