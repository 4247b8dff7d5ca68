"""Get the true boxes to compare the run's boxes with."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from scripts.lib.errors import PipelineError
from scripts.lib.evaluation.tator_truth import place_in_pixels, size_in_pixels, with_area
from scripts.lib.evaluation.truth import LabeledBox, Spelling, foreign_truth, write_truth
from scripts.lib.graphs import train_ini as train
from scripts.lib.records import MediaRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.server import rows
from scripts.lib.server.api import Project
from scripts.lib.workflow.jobs import job

_log = logging.getLogger(__name__)


def get_truth(
    *,
    truth_file: list[Path],
    records: list[Path],
    train_ini: Path,
    truth: Path,
    host: str | None = None,
    project_id: int | None = None,
    localization_type_id: int | None = None,
    species_attribute: str = "",
    truth_version: int | None = None,
) -> None:
    """Write the true boxes of the run's media in one format, from a file or from a version in Tator.

    Args:
        truth_file: the file of true boxes; empty if there is none.
        records: the records of resolve_media.
        train_ini: the species' names.
        truth: the CSV to write.
        host: Tator's address; this and the next four are used if there is no file.
        project_id: the project.
        localization_type_id: the box type.
        species_attribute: the box type's attribute for the species.
        truth_version: the version with the true boxes, to which those of its bases belong.

    Raises:
        ValueError: there is neither a file nor a version.
        PipelineError: the file cannot be read, or has no true box in this run's media.
    """
    media = (read_record(MediaRecord, record) for record in records)
    sizes: dict[int, tuple[int, int]] = {}
    names = train.species(train_ini)
    if truth_file:
        boxes = list(foreign_truth(truth_file[0], media, names))
        source = str(truth_file[0])
    elif host is None or project_id is None or localization_type_id is None or truth_version is None:
        raise ValueError("neither a file of true boxes nor a version in Tator is named")
    else:
        project = Project(host, project_id)
        spelling = Spelling(names)
        boxes, bases = [], rows.bases(project.versions(), truth_version)
        for each in media:
            if each.state == "ready":
                found = _current_boxes(
                    project, each, localization_type_id, truth_version, species_attribute, bases=bases
                )
                if found:
                    sizes[each.media_id] = size_in_pixels(each)
                    boxes += [replace(box, species=spelling[box.species]) for box in found]
        source = f"version {truth_version}"
    if not boxes:
        raise PipelineError(f"{source} has no true box in this run's media; name another one under evaluate, or none")
    write_truth(truth, boxes, sizes)
    _log.info("%d true boxes in %d media", len(boxes), len({box.picture[0] for box in boxes}))


def _current_boxes(
    project: Project, media: MediaRecord, type_id: int, version_id: int, species: str, *, bases: Sequence[int]
) -> list[LabeledBox]:
    """Return a media's boxes that are not deleted and have an area, in pixels of the size in Tator."""
    listed = project.boxes(media.media_id, type_id, version_id, bases=bases)
    boxes = [
        LabeledBox(
            (media.media_id, box["frame"] or 0),
            place_in_pixels(box, media),
            str((box["attributes"] or {}).get(species) or ""),
        )
        for box in rows.current(listed, version_id).values()
        if not box["variant_deleted"]
    ]
    return with_area(boxes, media)


if __name__ == "__main__":
    job.run(get_truth, snakemake)  # type: ignore[name-defined]
