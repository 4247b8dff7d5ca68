"""The fan-out manifest, launched as by Tator, with this repository's executor and profile: losses, a cancel, rights."""

import json

from tests.kube_server import argo
from tests.kubernetes.lab import DRIVER, applied, documents

(MANIFEST,) = documents("deploy/argo/fan-out.yaml")
MANIFEST["spec"]["templates"][0]["container"]["args"] += ["--seconds-between-status-checks", "1"]


def jobs(lab):
    return [job["spec"]["template"]["spec"] for job in lab.cluster.created["jobs"]]


def log_of(lab, run, number):
    """Return the log of one of a run's pods; empty if it was not started yet."""
    begun = len(run.pods) > number and lab.cluster.begun(run.pods[number])
    return lab.cluster.pod_log(run.pods[number]) if begun else ""


def test_a_run_with_lost_and_drained_drivers_equals_a_local_run(lab, local_run):
    """A drained driver gets SIGTERM and its grace period, and ends with an exit code that the workflow retries."""
    rights = applied("deploy/argo/overlays/example")
    one = lab(manifests=rights)
    run = argo.submit(one.cluster, MANIFEST, one.parameters())
    one.cluster.wait_until(lambda: one.running("detect"))
    before = {pod["metadata"]["name"] for pod in one.running("detect")}
    one.cluster.evict(run.pods[0])
    # Logged after the pods of the lost driver are removed: pods that run later are of the new driver.
    one.cluster.wait_until(lambda: "the previous driver was lost" in log_of(one, run, 1))
    one.cluster.wait_until(lambda: one.running("detect"))
    one.cluster.drain(run.pods[1], grace=60)
    assert run.join() == "Succeeded", run.log()
    assert len(run.pods) == 4, "driver, driver, driver, exit handler"
    assert one.cluster.exit_code(run.pods[1]) == 143
    assert 143 not in argo.ENDED_BY_ITSELF
    folder = one.cluster.folder / "claims" / f"{run.name}-work"
    assert one.outcome(folder) == local_run
    assert "clip_910002.mp4  done" in one.cluster.pod_log(run.pods[3])

    # No two pods of one media ran at once, although each media's pod was made again.
    assert before & {pod["metadata"]["name"] for pod in one.cluster.created["pods"]}
    assert one.cluster.overlapping() == []
    # The driver used all rights of its Role; a failed job's log is read in test_repairs.py.
    roles = {item["metadata"]["name"]: item for item in rights if item["kind"] == "Role"}
    rules = roles[DRIVER]["rules"]
    granted = {(name, verb) for rule in rules for name in rule["resources"] for verb in rule["verbs"]}
    # Events of a job without a pod are read in test_cluster_events.py.
    assert granted == one.rights_used() | {("pods/log", "get"), ("events", "list")}

    # Only detection requested GPUs; every job pod followed the namespace's rules, and had no token of either kind.
    limits = [pod["containers"][0]["resources"]["limits"] for pod in jobs(one)]
    assert all({"cpu", "memory", "ephemeral-storage"} <= limit.keys() for limit in limits)
    gpus = [pod for pod in jobs(one) if "nvidia.com/gpu" in pod["containers"][0]["resources"].get("limits", {})]
    assert gpus == [pod for pod in jobs(one) if "detect:" in str(pod)]
    assert len(gpus) >= 2
    assert one.cluster.refused == []
    assert all(pod["automountServiceAccountToken"] is False for pod in jobs(one))
    assert one.server.token not in json.dumps(one.cluster.created["jobs"])
    assert not one.cluster.find("jobs")
    assert not one.cluster.find("secrets")


def test_a_cancelled_run_is_removed_within_a_minute(lab):
    one = lab()
    run = argo.submit(one.cluster, MANIFEST, one.parameters())
    one.cluster.wait_until(lambda: one.running("get_network"))
    assert one.cluster.find("secrets")
    run.stop()
    one.cluster.wait_until(lambda: not one.cluster.find("jobs") and not one.cluster.find("secrets"))
    run.join(60)
    assert not [pod for pod in one.cluster.find("pods") if pod["metadata"]["name"].startswith("snakejob")]
    # Snakemake itself cleaned up: it was stopped, and had the time.
    assert "Terminating processes on user request" in one.cluster.pod_log(run.pods[0])
    assert "deleting job" not in one.cluster.pod_log(run.pods[1])
