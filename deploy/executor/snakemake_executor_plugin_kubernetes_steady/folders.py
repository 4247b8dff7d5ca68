"""Note in an S3-compatible store which folders a job makes.

The storage plugin uploads a folder file by file, and for Snakemake a folder exists as soon as it has one file there. If
a driver is lost, the next one has no record of unfinished outputs; it removes the folders that are noted here
(deploy/s3_store.py), so that they are made again.
"""

import posixpath
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from snakemake_interface_common.exceptions import WorkflowError

UNFINISHED = "unfinished"  # as in deploy/s3_store.py: the folder of the notes, in the run's folder of the bucket


class NoteFailed(WorkflowError):
    """The store does not answer, or refuses, after the storage plugin's retries."""


def note(job: Any, prefix: str | None) -> None:
    """Note the folders that a job makes; call it before the job can begin.

    Args:
        job: Snakemake's job, or a group of jobs.
        prefix: the run's folder in the store, s3://BUCKET/FOLDER; nothing is noted in other storages, or without one.

    Raises:
        NoteFailed: a folder could not be noted.
    """
    _each(job, prefix, lambda one: one.put(Body=b""))


def forget(job: Any, prefix: str | None) -> None:
    """Remove the notes of a job that has succeeded, and so has stored all its files; see `note`."""
    _each(job, prefix, lambda one: one.delete())


def _each(job: Any, prefix: str | None, change: Callable[[Any], object]) -> None:
    if prefix is None or not prefix.startswith("s3://"):
        return
    run = urlsplit(prefix).path.strip("/")
    for output in job.output:
        if output.is_directory and output.is_storage:
            folder = output.storage_object
            name = posixpath.join(run, UNFINISHED, folder.key.removeprefix(f"{run}/"))
            try:
                change(folder.provider.s3c.Object(folder.bucket, name))
            except (BotoCoreError, ClientError) as error:
                # Without the error's text: it may contain the store's address with a login.
                raise NoteFailed(f"the store refused or did not answer for {name}: {type(error).__name__}") from error
