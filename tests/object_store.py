"""An S3-compatible store on loopback: moto's server."""

import contextlib
import urllib.request

import boto3
from moto.server import ThreadedMotoServer

ACCESS_KEY = "key"
SECRET_KEY = "s3cr3t"


@contextlib.contextmanager
def started_store(bucket):
    """Yield the address of a store that has one empty bucket."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    try:
        # moto keeps the buckets of all servers of a process in one place, also after they stopped.
        urllib.request.urlopen(f"{address}/moto-api/reset", data=b"").close()
        client_of(address).create_bucket(Bucket=bucket)
        yield address
    finally:
        server.stop()


def client_of(address):
    """Return boto3's client of the store at `address`."""
    keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
    return boto3.client("s3", endpoint_url=address, region_name="us-east-1", **keys)
