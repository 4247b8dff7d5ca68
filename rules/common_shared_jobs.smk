"""What rules need where several media may share a job: files of all media, and files of the media of one job.

Where `plan.files_behind_jobs`, a job's one file of hashes is its output, and the files of its media lie behind it: each
file that Snakemake knows costs it memory and time (docs/sizing.md). Such files are named to the job by `of_media`, see
scripts/lib/workflow/media_files.py, and `jobs_to_repeat` looks whether they are there.
"""

from functools import cache
from pathlib import Path

from scripts.lib.workflow import batch_check, media_files as files_behind


def gathered(*names):
    """Return these files of all media for `input:`, by name; of media that share jobs and a disk, the jobs' hashes."""
    if not plan.hashes_suffice:
        return {name: all_of(plan.of_each_media[name][0]) for name in names}
    return {"batches": plan.hash_files(names)}


def gathered_by_hashes(*names):
    """Return for `params:` which files of all media a rule takes, where `gathered` has left them out."""
    if not plan.hashes_suffice:
        return {}
    return {"of_media": list(names), "order": plan.order, **in_folders()}


def each_file():
    """Return an input function that gives each file of all media, or the jobs' hashes that stand for them."""

    def files(wildcards):
        return plan.each_file()

    return [] if plan.by_storage else files


def in_folders():
    """Return for `params:` that the files of single media lie in sub-folders, where they do."""
    return {"in_folders": True} if plan.in_folders else {}


@cache
def jobs_to_repeat():
    """Return the hashes of jobs of whose media a file is to be made again: what this plan only shows.

    When a run begins, such hashes are removed, so that Snakemake makes them again; what is whole of a job's media is kept.
    """
    if not (plan.files_behind_jobs and workflow.is_main_process):
        return frozenset()
    begins = is_new_run()
    found = batch_check.to_repeat(
        plan.shared_jobs,
        plan.made_of_each_media,
        in_folders=plan.in_folders,
        note=begins,
    )
    if not begins:
        return frozenset(str(each.batch) for each in found)
    for each in found:
        each.forget()
    return frozenset()


def move_files_of_media():
    """Put the files of single media into sub-folders, or out of them, where the run has grown or shrunk."""
    if is_new_run() and not plan.by_storage:
        files_behind.move(Path(), in_folders=plan.in_folders)


def forget_shared_jobs():
    """Have media that no longer share jobs looked at anew: Snakemake knows nothing of files behind jobs' hashes."""
    if is_new_run() and not plan.shared_jobs and not plan.by_storage:
        if files_behind.forget_shared_jobs(Path()):
            logger.warning(
                "media.per_job: media shared jobs before and do not now; they are looked at and detected in anew"
            )


def of_these(media_ids, pattern):
    """Return a function for `params:` that gives the pattern's file for each of these media.

    It takes the output, for Snakemake then does not keep with each output's metadata what the function gives.
    """

    def files(wildcards, output):
        return plan.of(media_ids, pattern)

    return files


def numbers_of(media_ids):
    """Return a function for `params:` that gives these numbers; see `of_these`."""

    def numbers(wildcards, output):
        return media_ids

    return numbers


def downloads_of(media_ids):
    """Return for `params:` where and how jobs that media share download them; nothing in a folder's run."""
    if plan.from_folder:
        return {}
    return {
        "media": of_these(media_ids, plan.media_of_shared_jobs),
        "keep_files": plan.shared_jobs_keep_files,
        "prefetch_mb": config["media"]["prefetch_mb"],
    }


def job_inputs(media_ids, *names):
    """Return these files of a job's media for `input:`, by name, where jobs share no disk."""
    return (
        {name: plan.of(media_ids, plan.of_each_media[name][0]) for name in names}
        if plan.by_storage
        else {}
    )


def job_outputs(media_ids, *names):
    """Return these files of a job's media for `output:`, by name, where they are no files behind its hashes."""
    return (
        {}
        if plan.files_behind_jobs
        else {name: plan.of(media_ids, plan.of_each_media[name][0]) for name in names}
    )


def job_params(media_ids, *, takes=(), makes=()):
    """Return for `params:` the files of a job's media that are neither inputs nor outputs."""
    if plan.by_storage:
        return {}
    names = [*takes, *(makes if plan.files_behind_jobs else ())]
    made = {}
    if plan.files_behind_jobs and makes:
        batch = plan.hash_file(makes[0], media_ids[0])
        made = {"made_of_media": list(makes), "lacks": batch in jobs_to_repeat()}
    return {
        "of_media": names,
        "job_media_ids": numbers_of(media_ids),
        **made,
        **in_folders(),
    }
