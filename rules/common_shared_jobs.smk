"""Functions for rules whose media may share jobs: files of all media, and files of the media of one job.

If `plan.outputs_hidden_from_snakemake`, a job's only output is a file of hashes, and Snakemake does not know the files
of the job's media, as each known file costs memory and time (docs/sizing.md). The parameter `of_media` passes such
files to the job, see scripts/lib/workflow/planning/media_files.py, and `jobs_to_repeat` checks whether they exist.
"""

from functools import cache
from pathlib import Path

from scripts.lib.workflow.planning import batch_check, media_files as files_of_media


def gathered(*names):
    """Return these files of all media for `input:`, by name; the jobs' hashes if media share jobs and a disk."""
    if not plan.inputs_are_hashes:
        return {name: all_of(plan.of_each_media[name][0]) for name in names}
    return {"batches": plan.hash_files(names)}


def gathered_params(*names):
    """Return for `params:` the order of the media, and the names of their files if `gathered` left them out.

    Snakemake compares a rule's inputs without their order.
    """
    if not plan.inputs_are_hashes:
        return {"order": plan.order}
    return {"of_media": list(names), "order": plan.order, **in_folders()}


def each_file():
    """Return an input function for all files of all media, or for the jobs' hashes instead."""

    def files(wildcards):
        return plan.each_file()

    return [] if plan.by_storage else files


def in_folders():
    """Return for `params:` whether the files of single media are in sub-folders; empty if they are not."""
    return {"in_folders": True} if plan.in_folders else {}


@cache
def jobs_to_repeat():
    """Return the files of hashes of the jobs that have to make a media's file again, for a dry run, which shows them.

    When a run begins, these files are removed, so that Snakemake makes them again; intact files of the jobs are kept.
    """
    if not (plan.outputs_hidden_from_snakemake and workflow.is_main_process):
        return frozenset()
    begins = is_new_run()
    found = batch_check.to_repeat(
        plan.shared_jobs,
        plan.made_of_each_media,
        in_folders=plan.in_folders,
        store_dates=begins,
    )
    if not begins:
        return frozenset(str(each.batch) for each in found)
    for each in found:
        each.remove_results()
    return frozenset()


def move_files_of_media():
    """Move the files of single media into or out of sub-folders if the number of media requires it."""
    if is_new_run() and not plan.by_storage:
        files_of_media.move(Path(), in_folders=plan.in_folders)


def forget_shared_jobs():
    """Have media that no longer share jobs processed again, as Snakemake does not know the files of shared jobs."""
    if is_new_run() and plan.detects and not plan.shared_jobs and not plan.by_storage:
        if files_of_media.forget_shared_jobs(Path()):
            logger.warning(
                "media.per_job: media shared jobs before and do not now; all of them are processed again"
            )


def forget_missing_uploads():
    """Have the media whose upload record is missing compared with Tator again, as `jobs_to_repeat` does."""
    if (
        is_new_run()
        and plan.inputs_are_hashes
        and not plan.outputs_hidden_from_snakemake
    ):
        batch_check.forget_missing_uploads(plan.media_ids, plan.made_of_each_media)


def of_these(media_ids, pattern):
    """Return a function for `params:` that returns the pattern's file for each of these media.

    It has the argument `output`, so that Snakemake does not store its result in the metadata of each output.
    """

    def files(wildcards, output):
        return plan.of(media_ids, pattern)

    return files


def numbers_of(media_ids):
    """Return a function for `params:` that returns these numbers; see `of_these`."""

    def numbers(wildcards, output):
        return media_ids

    return numbers


def downloads_of(media_ids):
    """Return for `params:` the files to download and the options of downloads in a job; empty in a run on a folder."""
    if plan.from_folder:
        return {}
    return {
        "media": of_these(media_ids, plan.media_of_shared_jobs),
        "keep_files": plan.shared_jobs_keep_files,
        "prefetch_mb": config["media"]["prefetch_mb"],
    }


def job_inputs(media_ids, *names):
    """Return these files of a job's media for `input:`, by name, if jobs share no disk."""
    return (
        {name: plan.of(media_ids, plan.of_each_media[name][0]) for name in names}
        if plan.by_storage
        else {}
    )


def job_outputs(media_ids, *names):
    """Return these files of a job's media for `output:`, by name, if Snakemake knows them."""
    return (
        {}
        if plan.outputs_hidden_from_snakemake
        else {name: plan.of(media_ids, plan.of_each_media[name][0]) for name in names}
    )


def job_params(media_ids, *, takes=(), makes=()):
    """Return for `params:` the files of a job's media that are neither inputs nor outputs."""
    if plan.by_storage:
        return {}
    names = [*takes, *(makes if plan.outputs_hidden_from_snakemake else ())]
    made = {}
    if plan.outputs_hidden_from_snakemake and makes:
        batch = plan.hash_file(makes[0], media_ids[0])
        made = {"made_of_media": list(makes), "must_repeat": batch in jobs_to_repeat()}
    return {
        "of_media": names,
        "job_media_ids": numbers_of(media_ids),
        **made,
        **in_folders(),
    }
