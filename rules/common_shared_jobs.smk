"""What rules need where several media may share a job: files of all media, and files of the media of one job."""

from pathlib import Path


def gathered(*names):
    """Return these files of all media for `input:`, by name.

    Of media that share jobs and a disk, the jobs' files of hashes stand for them, since each input costs Snakemake
    memory and time (docs/sizing.md). `all` takes the files themselves, so that one which is gone is made again.
    """
    if not plan.hashes_suffice:
        return {name: all_of(plan.of_each_media[name][0]) for name in names}
    return {"batches": plan.hash_files(names)}


def gathered_by_hashes(*names):
    """Return these files of all media for `params:`, by name, where `gathered` has left them out."""
    return (
        {name: all_of(plan.of_each_media[name][0]) for name in names}
        if plan.hashes_suffice
        else {}
    )


def each_file():
    """Return an input function that gives each file of all media, so that one that is gone is made again."""

    def files(wildcards):
        return plan.each_file()

    return [] if plan.by_storage else files


def sibling_of(named, pattern):
    """Return a function for `params:` that gives the pattern's file for each media whose file is in an output.

    What follows from the output is not kept with each output's metadata, as a list would be.
    """

    def files(wildcards, output):
        return plan.of([Path(path).stem for path in output[named]], pattern)

    return files


def downloads_of(named):
    """Return for `params:` where and how jobs that media share download them; nothing in a folder's run."""
    if plan.from_folder:
        return {}
    return {
        "media": sibling_of(named, plan.media_of_shared_jobs),
        "keep_files": plan.shared_jobs_keep_files,
        "prefetch_mb": config["media"]["prefetch_mb"],
    }


def as_inputs(media_ids, **patterns):
    """Return the patterns' files for `input:`, by name, where jobs share no disk."""
    return (
        {name: plan.of(media_ids, pattern) for name, pattern in patterns.items()}
        if plan.by_storage
        else {}
    )


def as_params(named, **patterns):
    """Return the patterns' files for `params:`, by name, where jobs share a disk; see `sibling_of`."""
    return (
        {}
        if plan.by_storage
        else {name: sibling_of(named, pattern) for name, pattern in patterns.items()}
    )
