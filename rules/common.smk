"""The settings, wildcard constraints, and the few functions that rules in several files use.

What the settings mean for the rules is in `plan`, a RunPlan of scripts/lib/workflow/planning/run_plan.py.
"""

import time
from functools import cache
from pathlib import Path

from scripts.lib.data_images import tags
from scripts.lib.errors import STORE_VARIABLE
from scripts.lib.files import check_writable
from scripts.lib.network_access import token
from scripts.lib.records import MediaRecord, record_files
from scripts.lib.server import outages, unanswered
from scripts.lib.uploads import version_check
from scripts.lib.workflow.planning import batches, code_hash, dates, plan_errors
from scripts.lib.workflow.jobs import failures
from scripts.lib.workflow.processes import closed_output, command, garbage
from scripts.lib.workflow.processes import import_path, interrupts
from scripts.lib.workflow.configuration import local_files, run_settings, settings
from scripts.lib.workflow.planning.run_plan import RunPlan


wildcard_constraints:
    media_id=r"\d+",
    part=r"\d+",


def read_settings():
    """Return the checked settings; raise SettingsError with one line for each problem."""
    schema = Path(workflow.basedir, "config", "config.schema.yaml")
    store = workflow.storage_settings.default_storage_provider
    run_settings.check_files(workflow.configfiles if workflow.is_main_process else ())
    return run_settings.read(config, os.environ, schema, store)


def is_stored():
    """Return whether files go from job to job through a storage."""
    return workflow.storage_settings.default_storage_provider is not None


def make_plan():
    """Return the plan of the run."""
    found = RunPlan(config, is_stored(), files_of_folder(), not is_folder_away())
    found.calibration_media  # raises errors here, where they become messages
    return found


def variables_in_use():
    """Return the names of the variables that are set in this run's environment."""
    return settings.variables_in_use(os.environ)


def work_dir():
    """Return the folder in TATOR_WORK_DIR, made if it does not exist; None if it is not set or --directory is."""
    if workflow.overwrite_workdir is not None:  # --directory takes precedence
        os.environ.pop(settings.WORK_DIR_VARIABLE, None)
    named = os.environ.get(settings.WORK_DIR_VARIABLE)
    return local_files.make_run_folder(named) if named else None


def require_token():
    """Refuse to run without a token if the run uses Tator; planning needs no token."""
    if plan.uploads:
        token.check_token(os.environ)


sources = code_hash.Sources(Path(workflow.basedir))


@cache
def code(script, shared=True):
    """Return a hash of a script's modules, as Snakemake notices only its file; `shared`: with that of shared jobs."""
    return sources.hash(script, None if shared else "detection/shared_job")


def is_new_run():
    """Return whether this process begins a run, and no other run is active in the folder."""
    # While the workflow's files are read, Snakemake has not yet chosen how jobs run.
    shows = workflow.output_settings.dryrun or command.runs_nothing(command.arguments())
    return workflow.is_main_process and not shows and not failures.is_locked(Path())


def runs_jobs():
    """Return whether this process runs jobs; others make no requests, and use the results of the last run."""
    return workflow.is_main_process and workflow.executor_plugin and not workflow.dryrun


def forget_failed_media():
    """Process failed media of a killed run again, and those with a write that Tator may have carried out since."""
    # Before the plan, which moves the results of files that are gone; not while another run is active.
    if is_stored():
        os.environ[STORE_VARIABLE] = "1"
    if is_new_run():
        failures.forget(Path())
        for record in unanswered.remove_uncertain_records(Path()):
            logger.warning(
                f"{record}: an answer of Tator was lost; the media is checked in Tator again"
            )


def correct_dates():
    """Correct dates of this run's files that are in the future, with a warning, unless another run is active."""
    if is_new_run():
        now = time.time_ns()
        warnings = (
            None if plan.by_storage else dates.correct_run_files(Path(), now),
            dates.warn_of_scripts(Path(workflow.basedir), now),
        )
        for warning in filter(None, warnings):
            logger.warning(warning)


def all_of(pattern):
    """Return an input function for `plan.every(pattern)`, as the rule and its job would each keep a list in memory."""

    def files(wildcards):
        return plan.every(pattern)

    return files


def part_number(wildcards):
    """Return the number of a job's part."""
    return int(wildcards.part)


def of_parts(pattern):
    """Return a function that returns the pattern's file for each part of a media; none for a media in one piece."""

    def files(wildcards):
        # The number of parts of a media is known only from its record.
        first = (
            checkpoints.list_media if plan.from_folder else checkpoints.resolve_media
        )
        first.get()
        path = Path(f"resources/records/{wildcards.media_id}.json")
        record = record_files.read_record(MediaRecord, path)
        return batches.of_parts(pattern, record, config["detect"]["split_seconds"])

    return files


def set_as_for(other, one):
    """Set for the rule `other` the threads and resources that a profile or the command line sets for the rule `one`."""
    resources, settings = workflow.get_rule(other).resources, workflow.resource_settings
    if one in settings.overwrite_threads and other not in settings.overwrite_threads:
        resources["_cores"] = settings.overwrite_threads[one]
    for name in (one, other):
        resources.update(settings.overwrite_resources.get(name, {}))


def unless_kept(path):
    """Mark a downloaded file as temporary, unless media.keep_files is set."""
    return path if config["media"]["keep_files"] else temp(path)


def if_set(setting, *paths):
    """Return the paths if a setting, or another condition, is true; otherwise none."""
    return list(paths) if setting else []


@cache
def digest_of_tag():
    """Return the digest of a data image that has only a tag: the current one if jobs run, otherwise the last one."""
    memory = Path("resources/network/tag.json")
    if not runs_jobs():
        return tags.stored_digest(config["network"], memory)
    return tags.current_digest(config["network"], memory, logger.warning)


def digest_now(wildcards):
    """Return `digest_of_tag()` when jobs are planned, so that reading the workflow's files makes no request."""
    return digest_of_tag()


@cache
def version_lost_count():
    """Return how often the version of the boxes was found deleted or emptied."""
    memory = Path("resources/losses.json")
    if not runs_jobs():
        return version_check.stored_losses(memory)
    return version_check.check_for_losses(
        config["tator"],
        os.environ,
        destination=Path("resources/destination.json"),
        summary=Path("results/summary.json"),
        memory=memory,
        warn=logger.warning,
    )


def version_lost_count_now(wildcards):
    """Return `version_lost_count()` when jobs are planned, so that reading the workflow's files makes no request."""
    return version_lost_count()
