"""The settings, wildcard constraints, and the few functions that rules in several files use.

What the settings mean for the rules is in `plan`, a RunPlan of scripts/lib/workflow/run_plan.py.
"""

import time
from functools import cache
from pathlib import Path

from scripts.lib import record_files, records, token
from scripts.lib.data_images import tags
from scripts.lib.errors import STORE_VARIABLE
from scripts.lib.files import check_writable
from scripts.lib.server import outages, unanswered
from scripts.lib.uploads import version_check
from scripts.lib.workflow import (
    batches,
    code_hash,
    dates,
    failures,
    garbage,
    import_path,
    interrupts,
    local_files,
    planning,
    run_settings,
    settings,
)
from scripts.lib.workflow.run_plan import RunPlan


wildcard_constraints:
    media_id=r"\d+",
    part=r"\d+",


def read_settings():
    """Return the checked settings; raise SettingsError with one line for each problem."""
    schema = Path(workflow.basedir, "config", "config.schema.yaml")
    store = workflow.storage_settings.default_storage_provider
    return run_settings.read(config, os.environ, schema, store)


def make_plan():
    """Return the plan of the run."""
    store = workflow.storage_settings.default_storage_provider
    return RunPlan(config, store is not None, files_of_folder(), not is_folder_away())


def variables_in_use():
    """Return the names of the variables that are set in this run's environment."""
    return [name for name in settings.VARIABLES if name in os.environ]


def work_dir():
    """Return the folder that TATOR_WORK_DIR names; None if it is not set."""
    return os.environ.get(settings.WORK_DIR_VARIABLE)


def require_token():
    """Refuse to run, but not to plan, without a token if the run uses Tator."""
    if plan.uploads:
        token.check_token(os.environ)


sources = code_hash.Sources(Path(workflow.basedir))


@cache
def code(script, unused=None):
    """Return a hash of a script's own modules: Snakemake itself notices only the script's file."""
    return sources.hash(script, unused)


def is_new_run():
    """Return whether this process begins a run, and no other run is working in its folder."""
    # While the workflow's files are read, Snakemake has not yet chosen how jobs run.
    runs = workflow.is_main_process and not workflow.output_settings.dryrun
    return runs and not failures.is_locked(Path())


def runs_jobs():
    """Return whether this process runs jobs: dry runs and jobs use what the last run found, without any request."""
    return workflow.is_main_process and workflow.executor_plugin and not workflow.dryrun


def forget_failed_media():
    """Make this run try the media again that failed in a killed run, unless another run is working.

    Also those for which Tator may have carried out a write after the run stopped waiting for it.
    """
    if plan.by_storage:
        os.environ[STORE_VARIABLE] = "1"
    if is_new_run():
        failures.forget(Path())
        for record in unanswered.look_again(Path()):
            logger.warning(
                f"{record}: an answer of Tator was lost; what stands there is looked at again"
            )


def correct_dates():
    """Correct the dates of this run's files that are in the future, and say so, unless another run is working."""
    if is_new_run():
        now = time.time_ns()
        said = (
            None if plan.by_storage else dates.correct_run_files(Path(), now),
            dates.warn_of_scripts(Path(workflow.basedir), now),
        )
        for sentence in filter(None, said):
            logger.warning(sentence)


def all_of(pattern):
    """Return an input function for `plan.every(pattern)`: the rule and its job would each keep a list in memory."""

    def files(wildcards):
        return plan.every(pattern)

    return files


def part_number(wildcards):
    """Return the number of a job's part."""
    return int(wildcards.part)


def of_parts(pattern):
    """Return a function that returns the pattern's file for each part of a media; none for a media of one part."""

    def files(wildcards):
        # The number of parts of a media is known when its record in Tator has been read.
        first = (
            checkpoints.list_media if plan.from_folder else checkpoints.resolve_media
        )
        first.get()
        path = Path(f"resources/records/{wildcards.media_id}.json")
        record = record_files.read_record(records.MediaRecord, path)
        return batches.of_parts(pattern, record, config["detect"]["split_seconds"])

    return files


def set_as_for(other, one):
    """Set for the rule `other` the threads and resources that a profile or the command line sets for the rule `one`."""
    given, settings = workflow.get_rule(other).resources, workflow.resource_settings
    if one in settings.overwrite_threads and other not in settings.overwrite_threads:
        given["_cores"] = settings.overwrite_threads[one]
    for name in (one, other):
        given.update(settings.overwrite_resources.get(name, {}))


def unless_kept(path):
    """Flag a downloaded file as temporary, unless the user keeps files."""
    return path if config["media"]["keep_files"] else temp(path)


def if_asked(asked, *paths):
    """Return the paths if a setting asks for them, otherwise none."""
    return list(paths) if asked else []


@cache
def tag_stands_for():
    """Return the current digest of a data image that has only a tag, in a run that runs jobs."""
    memory = Path("resources/network/tag.json")
    if not runs_jobs():
        return tags.remembered_digest(config["network"], memory)
    return tags.digest_behind_tag(config["network"], memory, logger.warning)


def digest_now(wildcards):
    """Return that digest when jobs are planned, so that reading the workflow's files makes no request."""
    return tag_stands_for()


@cache
def losses_of_boxes():
    """Return how often the version of the boxes was found lost."""
    memory = Path("resources/losses.json")
    if not runs_jobs():
        return version_check.losses_seen(memory)
    return version_check.look_for_losses(
        config["tator"],
        os.environ,
        destination=Path("resources/destination.json"),
        summary=Path("results/summary.json"),
        memory=memory,
        tell=logger.warning,
    )


def losses_now(wildcards):
    """Return that number when jobs are planned, so that reading the workflow's files makes no request."""
    return losses_of_boxes()
