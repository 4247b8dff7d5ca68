"""Files of single media that Snakemake does not know, as they lie behind a shared job's one file of hashes."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.lib.folder_source.run_listing import media_ids_of
from scripts.lib.workflow.batches import EVERY_FILE_OF_EACH_MEDIA

# Parameters of a rule that name such files: which (names of EVERY_FILE_OF_EACH_MEDIA), of which media, and those that
# the job makes. Without numbers it is those of all media, in the run's order.
NAMES, NUMBERS, MADE = "of_media", "job_media_ids", "made_of_media"


def named(params: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the files that a job's parameters name, by the names of its arguments.

    Args:
        params: the job's.
        config: the run's settings, for the numbers of all media.
    """
    names = _as_list(params.get(NAMES, ()))
    if not names:
        return {}
    numbers = _as_list(params[NUMBERS]) if NUMBERS in params else _of_the_run(config)
    return {name: [EVERY_FILE_OF_EACH_MEDIA[name][0].format(media_id=number) for number in numbers] for name in names}


def made_in(params: Mapping[str, Any]) -> set[Path]:
    """Return the folders into which a job writes such files."""
    return {Path(EVERY_FILE_OF_EACH_MEDIA[name][0]).parent for name in _as_list(params.get(MADE, ()))}


def lacking(shared_jobs: Sequence[Sequence[int]], made: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return the files of hashes that are there though a file that they stand for is not.

    Each folder is listed once, however many media there are.

    Args:
        shared_jobs: the media of each job.
        made: the files of each media, as in EVERY_FILE_OF_EACH_MEDIA.
    """
    there = set(_names("resources/batches"))
    found = dict[str, None]()
    for pattern, maker in made.values():
        folder, _, name = pattern.rpartition("/")
        names = set(_names(folder))
        for media_ids in shared_jobs:
            batch = f"{maker}_{media_ids[0]}.json"
            if batch in there and not all(name.format(media_id=number) in names for number in media_ids):
                found[f"resources/batches/{batch}"] = None
    return list(found)


def forget_shared_jobs(run_folder: Path) -> bool:
    """Remove the hashes of shared jobs, and the records of media behind them; say whether there were any.

    So that rules for single media make these again: without what Snakemake notes of an output they would be taken for
    what these rules made, however old they are.

    Args:
        run_folder: the run's.
    """
    batches = list((run_folder / "resources" / "batches").glob("*.json"))
    if not batches:
        return False
    for record in (run_folder / "resources" / "records").glob("*.json"):
        record.unlink()
    for batch in batches:  # last, as they say that this is to be done
        batch.unlink()
    return True


def _names(folder: str) -> Iterable[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - a Path for each of a million names takes longer than the listing
    except FileNotFoundError:
        return ()


def _of_the_run(config: Mapping[str, Any]) -> list[int]:
    if config["media"]["folder"]:
        return media_ids_of()
    media_ids: list[int] = config["tator"]["media_ids"]
    return media_ids


def _as_list(value: Any) -> list[Any]:
    """Return a list; Snakemake unpacks a list of one."""
    return list(value) if isinstance(value, list | tuple) else [value] if value != () else []
