"""Cut the pictures of the worst errors of an evaluation from their media."""

import zipfile
from collections import defaultdict
from pathlib import Path

from scripts.lib.downloads.frames_again import MediaPlace, frames_again
from scripts.lib.files import replacing
from scripts.lib.pictures.album import picture_name
from scripts.lib.pictures.previews import PICTURE_SIDE, jpeg, shrunk
from scripts.lib.records.evaluation import EvaluationRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.workflow.jobs import job


def picture_errors(*, evaluation: Path, records: list[Path], place: MediaPlace, pictures: Path) -> None:
    """Write a zip file with a picture for each mistake that `evaluation` names.

    The downloaded files were removed before, so the few media needed are downloaded again. Media that are not
    available any more are left out.

    Args:
        evaluation: the record of evaluate.
        records: the records of resolve_media or list_media.
        place: where to get the media.
        pictures: the zip file to write.
    """
    found = read_record(EvaluationRecord, evaluation)
    wanted: dict[int, set[int]] = defaultdict(set)
    for mistake in found.missed + found.false_alarms:
        wanted[mistake.media_id].add(mistake.frame)
    with replacing(pictures, "wb") as stream, zipfile.ZipFile(stream, "w") as archive:
        for again in frames_again(wanted, records, place, pictures.parent):
            archive.writestr(f"{again.media_id}/{picture_name(again.frame)}", jpeg(shrunk(again.picture, PICTURE_SIDE)))


if __name__ == "__main__":
    job.run(picture_errors, snakemake)  # type: ignore[name-defined]
