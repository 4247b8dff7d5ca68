"""Check where the boxes will go before any work is done, and make the version when it is absent."""

import logging
from pathlib import Path
from typing import Any

from scripts.lib import job
from scripts.lib.errors import ServerError
from scripts.lib.files import read_json, write_json
from scripts.lib.tator_api import LostAnswer, Project, patiently
from scripts.lib.train_ini import species as read_species

_log = logging.getLogger(__name__)

# The end of each description that a run writes, by which it is known again.
_OUR_WORDS = "made by the detection workflow; people's edits are kept"


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
    box_type = _pick(project.localization_types(), "id", localization_type_id, "upload.localization_type_id")
    if box_type["dtype"] != "box":
        raise ServerError(
            f"localization type {box_type['name']!r} ({localization_type_id}) is of the kind {box_type['dtype']}; "
            "expected a box type in upload.localization_type_id"
        )
    _check_attributes(box_type, species_attribute, confidence_attribute, read_species(train_ini))
    if version_id is not None:
        chosen = _pick(project.versions(), "id", version_id, "upload.version_id")
    elif version_number is not None:
        chosen = _pick(project.versions(), "number", version_number, "upload.version_number")
    else:
        chosen = _version_named(project, version, read_json(provenance))
    write_json(
        destination,
        {
            "version_id": chosen["id"],
            "version": chosen["name"],
            "type_id": box_type["id"],
            "species_attribute": species_attribute,
            "confidence_attribute": confidence_attribute,
            "defaults": {a["name"]: a["default"] for a in box_type["attribute_types"] if a.get("default") is not None},
        },
    )


def _pick(items: list[dict[str, Any]], key: str, value: int, setting: str) -> dict[str, Any]:
    for item in items:
        if item[key] == value:
            return item
    there = ", ".join(f"{item[key]} ({item['name']})" for item in items) or "none"
    raise ServerError(f"{setting}: the project has no {value}; it has {there}")


def _check_attributes(box_type: dict[str, Any], species: str, confidence: str, names: list[str]) -> None:
    """Tator drops attributes that a type lacks without a word, so they are checked here."""
    attributes = {attribute["name"]: attribute for attribute in box_type["attribute_types"]}
    for setting, name, kinds in (
        ("species_attribute", species, ("string", "enum")),
        ("confidence_attribute", confidence, ("float",)),
    ):
        kind = attributes.get(name, {}).get("dtype")
        if kind not in kinds:
            there = ", ".join(f"{a['name']} ({a['dtype']})" for a in attributes.values()) or "none"
            raise ServerError(
                f"upload.{setting}: box type {box_type['name']!r} has no {' or '.join(kinds)} attribute {name!r}; "
                f"it has {there}; add it in the project's settings or name another one"
            )
    choices = attributes[species].get("choices")
    unknown = [name for name in names if choices and name not in choices]
    if unknown:
        raise ServerError(
            f"attribute {species!r} of box type {box_type['name']!r} allows {', '.join(choices)}; the network also "
            f"knows {', '.join(unknown)}: add them to the attribute's choices"
        )


def _version_named(project: Project, name: str, network: dict[str, Any]) -> dict[str, Any]:
    """Return the version of that name, with a description that says of which network its boxes are.

    It is made when absent. Two runs at once may both make one: the oldest of a name is the one that everybody takes.
    Of one that was there, only a description that a run wrote is renewed.
    """
    graph = next(entry["sha256"] for file, entry in network["files"].items() if file != "train.ini")
    description = (
        f"Boxes of the network {network['reference']} ({network['digest'] or 'no digest'}, graph sha256:{graph}), "
        + _OUR_WORDS
    )

    def named() -> list[dict[str, Any]]:
        return sorted((v for v in project.versions() if v["name"] == name), key=lambda v: int(v["id"]))

    def made() -> dict[str, Any]:
        if not named():
            _log.info("making version %r", name)
            project.create_version(name, description)
        return named()[0]

    try:
        version = patiently(LostAnswer)(made)
    except LostAnswer as lost:
        raise ServerError(f"{lost}; run again when Tator is well") from None
    if version["description"] != description and str(version["description"]).endswith(_OUR_WORDS):
        _log.info("version %r gets the description of this run's network", name)
        project.describe_version(version["id"], description)
    return version


if __name__ == "__main__":
    job.run(prepare_upload, snakemake)  # type: ignore[name-defined]
