"""Get the true tracks that those of the run are compared with."""

import logging
from collections.abc import Sequence
from pathlib import Path

from scripts.lib.errors import PipelineError
from scripts.lib.evaluation.tator_truth import place_in_pixels, size_in_pixels, with_area
from scripts.lib.evaluation.true_tracks import TrackedBox, read_true_tracks, write_true_tracks
from scripts.lib.records import MediaRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.server import rows
from scripts.lib.server.api import Project
from scripts.lib.workflow.jobs import job

_log = logging.getLogger(__name__)


def get_true_tracks(
    *,
    track_truth_file: list[Path],
    records: list[Path],
    true_tracks: Path,
    host: str | None = None,
    project_id: int | None = None,
    localization_type_id: int | None = None,
    track_truth_version: int | None = None,
) -> None:
    """Write the true tracks of the run's media in one format, from a file or from a version in Tator.

    Args:
        track_truth_file: the file of true tracks; empty if there is none; see scripts/lib/evaluation/true_tracks.py.
        records: the records of resolve_media.
        true_tracks: the CSV file to write.
        host: Tator's address; this and the next three are used if there is no file.
        project_id: the project.
        localization_type_id: the type of the tracks' boxes.
        track_truth_version: the version of the tracks and their boxes, to which those of its bases belong.

    Raises:
        ValueError: there is neither a file nor a version.
        PipelineError: the file cannot be used, or no true track is of this run's media.
    """
    media = (read_record(MediaRecord, record) for record in records)
    sizes: dict[int, tuple[int, int]] = {}
    if track_truth_file:
        tracks = read_true_tracks(track_truth_file[0], media)
        source = str(track_truth_file[0])
    elif host is None or project_id is None or localization_type_id is None or track_truth_version is None:
        raise ValueError("neither a file of true tracks nor a version in Tator is named")
    else:
        project = Project(host, project_id)
        types = [kind["id"] for kind in project.state_types() if kind.get("association") == "Localization"]
        bases = rows.bases(project.versions(), track_truth_version)
        videos = (each for each in media if each.state == "ready" and each.kind == "video")
        tracks = {}
        for each in videos:
            if boxes := _current_tracks(project, each, types, localization_type_id, track_truth_version, bases=bases):
                tracks[each.media_id], sizes[each.media_id] = boxes, size_in_pixels(each)
        source = f"version {track_truth_version}"
    if not tracks:
        raise PipelineError(
            f"{source}: it has no track of a media of this run; expected one at least: name another under evaluate, "
            "or none"
        )
    write_true_tracks(true_tracks, tracks, sizes)
    _log.info("true tracks of %d media, from %s", len(tracks), source)


def _current_tracks(
    project: Project,
    media: MediaRecord,
    track_types: list[int],
    box_type: int,
    version_id: int,
    *,
    bases: Sequence[int],
) -> list[TrackedBox]:
    """Return the boxes of a media's tracks that are not deleted and have an area, in pixels of the size in Tator.

    A track refers to revisions of boxes, also of a base of its version; the current revision of each box is used, if
    possible that in the version itself.
    """
    tracks = [
        state
        for type_id in track_types
        for state in rows.current(project.states(media.media_id, type_id, version_id, bases=bases), version_id).values()
        if not state["variant_deleted"]
    ]
    if not tracks:
        return []
    revisions = list(project.boxes(media.media_id, box_type, version_id, bases=bases, show_all_marks=1, merge=0))
    identities = {row["id"]: row["elemental_id"] for row in revisions}
    current = rows.current(revisions, version_id)
    found: dict[tuple[int, int], TrackedBox] = {}
    unknown = 0
    for number, track in enumerate(tracks, 1):
        for row_id in track["localizations"]:
            if row_id not in identities:
                unknown += 1
                continue
            box = current[identities[row_id]]
            if box["variant_deleted"]:
                continue
            key = box["frame"] or 0, number
            found[key] = TrackedBox(*key, place_in_pixels(box, media))
    if unknown:
        _log.warning(
            "media %d: %d boxes of true tracks are left out: they are not of localization type %d in version %d or "
            "its bases",
            *(media.media_id, unknown, box_type, version_id),
        )
    return with_area(list(found.values()), media)


if __name__ == "__main__":
    job.run(get_true_tracks, snakemake)  # type: ignore[name-defined]
