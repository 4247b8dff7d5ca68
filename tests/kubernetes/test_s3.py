"""The profile without a shared claim: files go through an S3-compatible store."""

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.kubernetes.lab import IMAGE

KEYS = {"ACCESS_KEY": "key", "SECRET_KEY": "s3cr3t", "REGION": "us-east-1"}
OPTIONS = "--default-storage-prefix s3://bucket/run --seconds-between-status-checks 1 --group-components media=2"


@pytest.fixture
def store():
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_run(lab, store, local_run, tmp_path):
    one = lab()
    env = {f"SNAKEMAKE_STORAGE_S3_{name}": value for name, value in {**KEYS, "ENDPOINT_URL": store}.items()}
    env |= {"RUN_NAME": "run-1", "POD_NAMESPACE": "default", "IMAGE": IMAGE}
    driver = one.pod(
        f"cd /work && exec python /workflow/deploy/entrypoint.py run kubernetes-s3 {OPTIONS}", one.environment() | env
    )
    assert one.ended(driver) == "Succeeded", one.cluster.pod_log(driver)
    client = boto3.client(
        "s3", endpoint_url=store, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="s3cr3t"
    )
    client.download_file("bucket", "run/results/detections.csv", str(tmp_path / "results.csv"))
    (tmp_path / "results").mkdir()
    (tmp_path / "results.csv").rename(tmp_path / "results" / "detections.csv")
    assert one.outcome(tmp_path) == local_run
    written = [entry["Key"] for entry in client.list_objects_v2(Bucket="bucket")["Contents"]]
    assert not [key for key in written if "resources/media/" in key]
    assert "s3cr3t" not in str(one.cluster.created["jobs"])
    # No pod had a claim.
    specs = [job["spec"]["template"]["spec"] for job in one.cluster.created["jobs"]]
    assert specs
    assert not [volume for spec in specs for volume in spec["volumes"] if "persistentVolumeClaim" in volume]
