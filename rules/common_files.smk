"""Input files of the rules: the files of media, and the size and date of the user's other files."""

import sys
from datetime import datetime
from pathlib import Path

from scripts.lib.folder_source import run_listing
from scripts.lib.uploads import earlier_uploads
from scripts.lib.workflow.planning import dates, earlier_results


def is_folder_away():
    """Return whether the user's folder is missing, and only the boxes found in it earlier are to be uploaded."""
    return run_listing.is_away(config, Path())


def files_of_folder():
    """Return the listed files of the user's folder; None if the media are in Tator."""
    if not config["media"]["folder"]:
        return None
    if not workflow.is_main_process:
        return run_listing.read_listing(run_listing.LISTING).files
    if is_folder_away():
        logger.warning(run_listing.away_message(config["media"]["folder"]))
        return run_listing.last_listing(config["media"]["folder"], Path()).files
    listing = run_listing.list_for_run(config["media"], Path.cwd())
    logger.info(listing.description())
    if is_new_run():
        for sentence in run_listing.begin(listing, Path()):
            logger.warning(sentence)
    return listing.files


def media_files(record="record", download="download"):
    """Return a media's record for `input:`, and for media in Tator also the downloaded file and its record.

    The large file is `ancient`, as the contents of the small records show whether it changed.
    """
    found = {record: "resources/records/{media_id}.json"}
    if not plan.from_folder:
        found["media"] = ancient("resources/media/{media_id}")
        found[download] = "resources/downloads/{media_id}.json"
    return found


def files_to_quantize_with():
    """Return for `input:` the files of `media_files` for the media whose frames are used to quantize the network."""
    found = media_files("records", "downloads")
    return {
        name: ancient(plan.of(plan.calibration_media, str(pattern)))
        for name, pattern in found.items()
    }


def truth_file_state(wildcards):
    """Return size and date of the file of true boxes, so that any change is noticed."""
    return dates.fingerprints(map(Path, plan.truth_file))


def track_truth_state(wildcards):
    """Return size and date of the file of true tracks, so that any change is noticed."""
    return dates.fingerprints(map(Path, plan.track_truth_file))


def network_files_state(wildcards):
    """Return size and date of each file of the network, so that any change is noticed."""
    return dates.fingerprints(map(Path, plan.network_files))


def warn_of_earlier_uploads():
    """Warn of the boxes and tracks of earlier runs that this run leaves in Tator."""
    if is_new_run() and not plan.by_storage:
        uploaded = earlier_uploads.warning(
            Path("resources", earlier_uploads.FOLDER),
            uploads=plan.uploads,
            track_uploads=bool(plan.track_uploads),
        )
        if uploaded:
            logger.warning(uploaded)


def move_earlier_results():
    """Move the results that this run does not make out of the way; call it when the first job is about to start."""
    if not plan.by_storage and not workflow.touch:
        moved = earlier_results.move(plan, Path(), datetime.now(), sys.argv[1:])
        if moved:
            logger.warning(moved)
