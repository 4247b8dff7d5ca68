"""Check a run's place in an S3-compatible store before any job starts, and remove what was left unfinished there."""

import argparse
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit

PREFIX_OPTION, SCHEME = "--default-storage-prefix", "s3://"
KEYS = ("SNAKEMAKE_STORAGE_S3_ACCESS_KEY", "SNAKEMAKE_STORAGE_S3_SECRET_KEY")
ENDPOINT, REGION = "SNAKEMAKE_STORAGE_S3_ENDPOINT_URL", "SNAKEMAKE_STORAGE_S3_REGION"
# What the results of a run depend on, apart from the options --config and --configfile.
SETTINGS = (
    "TATOR_API_SERVICE",
    "TATOR_MEDIA_IDS",
    "TATOR_PROJECT_ID",
    "TATOR_PIPELINE_ARGS",
    "TATOR_DETECT_ENGINE",
    "IMAGE",
)
# Has the hash of the settings: Snakemake's records of them are lost with the driver's folder, so it would keep results
# of other settings. The storage plugin removes a bucket with its last file, which may be one that a run repeats.
KEPT_FILE = "run-started"
UNFINISHED = "unfinished"  # the folder of the notes that the executor's folders.py writes
# Requests to a store that does not answer are retried for half a minute, with botocore's growing pauses.
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 5, 20, 8
_WHAT = {
    400: "the request is refused: correct s3_region or s3_bucket",
    301: "the bucket is in another region: correct s3_region",
    401: "the keys are refused: correct the Secret",
    403: "the keys are wrong, or lack a right that docs/kubernetes.md lists: correct the Secret, or s3_bucket",
    404: "there is no such bucket: correct s3_bucket, or make it",
}


def problem_of_options(options: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return why the store that Snakemake's options name cannot be used; empty if it can, or if they name none."""
    given = _parse(options)
    settings = [*(environ.get(name, "") for name in SETTINGS), *(given.config or ())]
    return problem(given.prefix, environ, settings) if given.prefix.startswith(SCHEME) else ""


def problem(prefix: str, environ: Mapping[str, str], settings: Sequence[str] = ()) -> str:
    """Return why a run cannot store its files below a prefix; empty if it can, and then with a first file there.

    The official storage plugin makes the bucket if it does not exist, so that a misspelt name would go unnoticed.

    Args:
        prefix: s3://BUCKET/FOLDER.
        environ: the plugin's variables, with the store's address, its region and its keys.
        settings: what the run's results depend on; without secrets.
    """
    return _in_store(prefix, environ, partial(_begin, settings))


def remove_unfinished(options: Sequence[str], environ: Mapping[str, str], log: Callable[[str], None]) -> str:
    """Remove the folders that jobs of an earlier driver may have uploaded in part; call it when these jobs have ended.

    The executor notes such folders (folders.py) before a job starts, and removes the note when the job has succeeded.
    Snakemake would take the part for the whole, as its own record is lost with the driver's folder.

    Args:
        options: Snakemake's; without a prefix in a store nothing is removed.
        environ: see `problem`.
        log: gets a sentence for each folder.

    Returns:
        Why the store cannot be used; empty if it can.
    """
    prefix = _parse(options).prefix
    return _in_store(prefix, environ, partial(_remove_noted, log)) if prefix.startswith(SCHEME) else ""


def _parse(options: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(PREFIX_OPTION, dest="prefix", default="")
    parser.add_argument("--config", "-C", "--configfile", "--configfiles", dest="config", nargs="*", action="extend")
    return parser.parse_known_args(list(options))[0]


def _in_store(prefix: str, environ: Mapping[str, str], act: Callable[[Any, str, str], str]) -> str:
    """Call `act` with a client, a bucket and a folder; return what it returns, or why the store cannot be used."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    place = urlsplit(prefix)
    endpoint = environ.get(ENDPOINT) or None
    where = f"bucket {place.netloc!r} at {_without_login(endpoint or 'AWS')}"
    try:
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name=environ.get(REGION) or "us-east-1",
            aws_access_key_id=environ.get(KEYS[0]),
            aws_secret_access_key=environ.get(KEYS[1]),
            config=Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                retries={"max_attempts": ATTEMPTS, "mode": "standard"},
            ),
        )
        return act(client, place.netloc, place.path.strip("/"))
    except ClientError as error:
        status = _status(error)
        return f"{where} answered {status}; {_WHAT.get(status, 'launch again later')}"
    except (BotoCoreError, ValueError) as error:
        return f"{where} cannot be used: {_without_login(str(error))}; correct s3_endpoint and s3_bucket"


def _begin(settings: Sequence[str], client: Any, bucket: str, run: str) -> str:
    """Write the first file of a run; return why the run cannot continue what is there, empty if it can."""
    from botocore.exceptions import ClientError

    client.head_bucket(Bucket=bucket)
    kept = {"Bucket": bucket, "Key": f"{run}/{KEPT_FILE}"}
    found = b""
    try:
        found = client.get_object(**kept)["Body"].read()
    except ClientError as error:
        if _status(error) != 404:
            raise
    made_with = blake2b(repr(list(settings)).encode(), digest_size=16).hexdigest().encode()
    if found not in (b"", made_with):
        return (
            f"{SCHEME}{bucket}/{run} has files of other settings, of other media or of another image; "
            "launch a new workflow, or delete these files"
        )
    client.put_object(**kept, Body=made_with)
    return ""


def _remove_noted(log: Callable[[str], None], client: Any, bucket: str, run: str) -> str:
    """Remove the noted folders of a run, each before its note, so that a removal that is interrupted is repeated."""
    notes = posixpath.join(run, UNFINISHED, "")
    for note in _keys(client, bucket, notes):
        name = note.removeprefix(notes)
        if name.endswith("/") or not name:  # not a note: tools write such keys for empty folders
            continue
        for key in [*_keys(client, bucket, posixpath.join(run, name, "")), note]:
            client.delete_object(Bucket=bucket, Key=key)
        log(f"{name} may be incomplete, as an earlier driver was lost; it is made again")
    return ""


def _keys(client: Any, bucket: str, prefix: str) -> Iterator[str]:
    for page in client.get_paginator("list_objects").paginate(Bucket=bucket, Prefix=prefix):
        yield from (entry["Key"] for entry in page.get("Contents", ()))


def _status(error: Any) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def _without_login(text: str) -> str:
    return re.sub(r"//[^/\s]*@", "//", text)
