"""Check a run's place in an S3-compatible store before any job starts."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

PREFIX_OPTION, SCHEME = "--default-storage-prefix", "s3://"
KEYS = ("SNAKEMAKE_STORAGE_S3_ACCESS_KEY", "SNAKEMAKE_STORAGE_S3_SECRET_KEY")
ENDPOINT, REGION = "SNAKEMAKE_STORAGE_S3_ENDPOINT_URL", "SNAKEMAKE_STORAGE_S3_REGION"
# The storage plugin removes a bucket together with its last file, which may be one that a run repeats.
KEPT_FILE = "run-started"
# Requests to a store that does not answer are retried for half a minute, with botocore's growing pauses.
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 5, 20, 8
_WHAT = {
    400: "the request is refused: correct s3_region or s3_bucket",
    301: "the bucket is in another region: correct s3_region",
    401: "the keys are refused: correct the Secret",
    403: "the keys are wrong, or lack a right that docs/kubernetes.md lists: correct the Secret, or s3_bucket",
    404: "there is no such bucket: correct s3_bucket, or make it",
}


def problem(prefix: str, environ: Mapping[str, str]) -> str:
    """Return why a run cannot store its files below a prefix; empty if it can, and then with a first, empty file there.

    The official storage plugin makes the bucket if it does not exist, so that a misspelt name would go unnoticed.

    Args:
        prefix: s3://BUCKET/FOLDER.
        environ: the plugin's variables, with the store's address, its region and its keys.
    """
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
        client.head_bucket(Bucket=place.netloc)
        client.put_object(Bucket=place.netloc, Key=f"{place.path.strip('/')}/{KEPT_FILE}", Body=b"")
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return f"{where} answered {status}; {_WHAT.get(status, 'launch again later')}"
    except (BotoCoreError, ValueError) as error:
        return f"{where} cannot be used: {_without_login(str(error))}; correct s3_endpoint and s3_bucket"
    return ""


def _without_login(text: str) -> str:
    return re.sub(r"//[^/\s]*@", "//", text)
