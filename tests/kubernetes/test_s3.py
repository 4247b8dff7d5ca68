"""The fan-out without a shared claim, launched as by Tator: files are stored in an S3-compatible store."""

import base64
import json

import pytest

from tests.kube_server import argo
from tests.kubernetes.lab import IMAGE, documents
from tests.object_store import ACCESS_KEY, SECRET_KEY, client_of, started_store

(MANIFEST,) = documents("deploy/argo/fan-out-s3.yaml")
MANIFEST["spec"]["templates"][0]["container"]["args"] += ["--seconds-between-status-checks", "1"]
MANIFEST["spec"]["templates"][0]["container"]["args"] += ["--group-components", "media=2"]
SHARED = "cd /work && exec python /workflow/deploy/entrypoint.py run kubernetes-s3 --default-storage-prefix "
SHARED += "s3://bucket/{} --seconds-between-status-checks 1 --forcerun detect_many_1 --until detect_many_1"
KEYS = {"access-key": ACCESS_KEY, "secret-key": SECRET_KEY}


@pytest.fixture
def store():
    with started_store("bucket") as address:
        yield address


@pytest.fixture
def site(lab):
    """Return a cluster with the Secret of the administrator's page."""
    one = lab()
    # Files that an editor wrote end with a line break.
    data = {name: base64.b64encode(f"{value}\n".encode()).decode() for name, value in KEYS.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tator-detection-s3"}, "data": data}
    one.cluster.create("secrets", one.cluster.namespace, secret)
    return one


def test_a_run_with_a_lost_driver_and_one_with_shared_jobs(site, store, local_run, tmp_path):
    values = site.parameters() | {"s3_endpoint": store, "s3_bucket": "bucket"}
    values["pipeline_args"] = json.dumps({**json.loads(values["pipeline_args"]), "export": {"yolo": True}})
    run = argo.submit(site.cluster, MANIFEST, values)
    # The driver's folder is lost with it; files in the store are not made again.
    site.cluster.wait_until(lambda: site.running("detect"))
    client = client_of(store)
    # As if a folder had been uploaded in part: for Snakemake it exists.
    client.put_object(Bucket="bucket", Key=f"{run.name}/unfinished/results/yolo", Body=b"")
    client.put_object(Bucket="bucket", Key=f"{run.name}/results/yolo/labels/other.txt", Body=b"")
    site.cluster.evict(run.pods[0])
    assert run.join() == "Succeeded", run.log()
    assert len(run.pods) == 3, "driver, driver, exit handler"
    first, second = (site.cluster.pod_log(pod) for pod in run.pods[:2])
    assert "checkpoint get_network:" in first
    assert "checkpoint get_network:" not in second
    assert "clip_910002.mp4  done" in second
    assert "results/yolo may be incomplete, as an earlier driver was lost; it is made again" in second
    assert site.cluster.overlapping() == []
    table = tmp_path / "results" / "detections.csv"
    table.parent.mkdir()
    client.download_file("bucket", f"{run.name}/results/detections.csv", str(table))
    assert site.outcome(tmp_path) == local_run
    written = [entry["Key"] for entry in client.list_objects_v2(Bucket="bucket")["Contents"]]
    assert not [key for key in written if "resources/media/" in key]
    assert not [key for key in written if "/unfinished/" in key or key.endswith("/other.txt")]
    assert f"{run.name}/results/yolo/data.yaml" in written
    # No job had a claim, or a key in its manifest; the administrator's Secret remains.
    jobs = site.cluster.created["jobs"]
    specs = [job["spec"]["template"]["spec"] for job in jobs]
    assert specs
    assert not [volume for spec in specs for volume in spec["volumes"] if "persistentVolumeClaim" in volume]
    assert "s3cr3t" not in json.dumps(jobs)
    assert [one["metadata"]["name"] for one in site.cluster.find("secrets")] == ["tator-detection-s3"]

    # The same media again, in one job: its pod gets the resources that the profile sets for `detect`.
    tables = [key for key in written if "/results/detections/" in key]
    before = {key: client.head_object(Bucket="bucket", Key=key) for key in tables}
    jobs.clear()
    client.delete_object(Bucket="bucket", Key=f"{run.name}/run-started")  # the driver would refuse its other settings
    driver = site.pod(SHARED.format(run.name), shared_jobs(site, store))
    assert site.ended(driver) == "Succeeded", site.cluster.pod_log(driver)
    _resolve, job = jobs  # shared jobs need a file that jobs of one media do not make
    limits = job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": "4000m", "memory": "8000M", "ephemeral-storage": "40000M", "nvidia.com/gpu": "1"}
    for key, old in before.items():
        new = client.head_object(Bucket="bucket", Key=key)
        assert new["LastModified"] > old["LastModified"]
        assert new["ETag"] == old["ETag"] or not key.endswith(".csv")


def shared_jobs(site, store):
    """Return the environment of a driver whose media share a job."""
    env = site.environment()
    env["TATOR_PIPELINE_ARGS"] = json.dumps({**json.loads(env["TATOR_PIPELINE_ARGS"]), "media": {"per_job": 100}})
    variables = {"ENDPOINT_URL": store, "ACCESS_KEY": "key", "SECRET_KEY": "s3cr3t"}
    env |= {f"SNAKEMAKE_STORAGE_S3_{name}": value for name, value in variables.items()}
    return env | {"RUN_NAME": "shared", "IMAGE": IMAGE}
