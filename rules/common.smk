"""What the other files need: the settings, wildcard constraints, and the few functions of the rules.

What the settings mean for the rules, `plan` says: RunPlan in scripts/lib/workflow/run_plan.py.
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
    """Return the checked settings; raises SettingsError with one line a problem."""
    schema = Path(workflow.basedir, "config", "config.schema.yaml")
    store = workflow.storage_settings.default_storage_provider
    return run_settings.read(config, os.environ, schema, store)


def make_plan():
    """Return what the settings mean for the rules."""
    store = workflow.storage_settings.default_storage_provider
    return RunPlan(config, store is not None, files_of_folder(), not is_folder_away())


def variables_in_use():
    """Return the names of those variables that this run's environment sets."""
    return [name for name in settings.VARIABLES if name in os.environ]


def work_dir():
    """Return the folder that TATOR_WORK_DIR names, None without it."""
    return os.environ.get(settings.WORK_DIR_VARIABLE)


def require_token():
    """Refuse to run, but not to plan, without a token, where Tator is asked."""
    if plan.uploads:
        token.check_token(os.environ)


sources = code_hash.Sources(Path(workflow.basedir))


@cache
def code(script, unused=None):
    """Return a hash of a script's own modules: Snakemake itself notices only the script's file."""
    return sources.hash(script, unused)


def is_new_run():
    """Say whether this process begins a run, while no other one is at work in its folder."""
    # While the files of the workflow are read, Snakemake has not yet chosen how jobs run.
    runs = workflow.is_main_process and not workflow.output_settings.dryrun
    return runs and not failures.is_locked(Path())


def runs_jobs():
    """Say whether this process runs jobs: dry runs and jobs take what the last run found, so that they ask nobody."""
    return workflow.is_main_process and workflow.executor_plugin and not workflow.dryrun


def forget_failed_media():
    """Have the media that failed in a run before, which was killed, tried again; not while another run is at work.

    Those too of which a write to Tator may have come later than the run waited for it.
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
    """Date files of this run anew that are dated in the future, and say so; not while another run is at work."""
    if is_new_run():
        now = time.time_ns()
        said = (
            None if plan.by_storage else dates.correct_run_files(Path(), now),
            dates.warn_of_scripts(Path(workflow.basedir), now),
        )
        for sentence in filter(None, said):
            logger.warning(sentence)


def all_of(pattern):
    """Return an input function that gives `plan.every(pattern)`: a list would be held by the rule and by its job."""

    def files(wildcards):
        return plan.every(pattern)

    return files


def part_number(wildcards):
    """Return the number of a job's part."""
    return int(wildcards.part)


def of_parts(pattern):
    """Return a function for the pattern's file for each part of a media; none for a media of one part."""

    def files(wildcards):
        # In how many parts a media is detected in is known once it has been looked at in Tator.
        first = (
            checkpoints.list_media if plan.from_folder else checkpoints.resolve_media
        )
        first.get()
        path = Path(f"resources/records/{wildcards.media_id}.json")
        record = record_files.read_record(records.MediaRecord, path)
        return batches.of_parts(pattern, record, config["detect"]["split_seconds"])

    return files


def set_as_for(other, one):
    """Give the rule `other` the threads and resources that a profile or the command line sets for the rule `one`."""
    given, settings = workflow.get_rule(other).resources, workflow.resource_settings
    if one in settings.overwrite_threads and other not in settings.overwrite_threads:
        given["_cores"] = settings.overwrite_threads[one]
    for name in (one, other):
        given.update(settings.overwrite_resources.get(name, {}))


def unless_kept(path):
    """Flag a downloaded file as temporary, unless the user keeps files."""
    return path if config["media"]["keep_files"] else temp(path)


def if_asked(asked, *paths):
    """Return the paths of what a setting asks for, none without it."""
    return list(paths) if asked else []


@cache
def tag_stands_for():
    """Return the digest of a data image that has only a tag, as a run that does something finds it."""
    memory = Path("resources/network/tag.json")
    if not runs_jobs():
        return tags.remembered_digest(config["network"], memory)
    return tags.digest_behind_tag(config["network"], memory, logger.warning)


def digest_now(wildcards):
    """Return that digest when jobs are planned: reading the files of the workflow asks nobody."""
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
    """Return that number when jobs are planned: reading the files of the workflow asks nobody."""
    return losses_of_boxes()
