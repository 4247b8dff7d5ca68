"""Faults of the official executor that this repository's does not have: each with both, in a workflow of one job.

The driver is real; it starts a test's shell script in place of `python -m snakemake`.
"""

import time

import pytest

from tests.kube_server.errors import ApiError
from tests.kubernetes.lab import GPU_NODE
from tests.kubernetes.toy import OFFICIAL, STEADY, WORKS, job_pods, running_job


class TestFailedJob:
    """The official executor requests the log of a previous container, which a pod that never restarts does not have."""

    script = "echo its last words; exit 3"

    def test_official(self, toy):
        driver = toy(f"{OFFICIAL} --retries 1", self.script)
        assert toy.lab.ended(driver) == "Failed"
        assert "previous terminated container" in toy.cluster.pod_log(driver)
        assert len(toy.cluster.created["jobs"]) == 1, "the official executor retries nothing"

    def test_ours(self, toy):
        driver = toy(f"{STEADY} --retries 1", self.script)
        assert toy.lab.ended(driver) == "Failed"
        assert len(toy.cluster.created["jobs"]) == 2
        assert toy.cluster.pod_log(driver).count("its last words") == 2
        assert "exit code 3 (Error)" in toy.cluster.pod_log(driver)
        assert ("pods/log", "get") in toy.lab.rights_used()
        assert not toy.cluster.find("jobs")
        assert not toy.cluster.find("secrets")


class TestStatusRequestThatFailsOnce:
    """The official executor forgets the job, and the run waits for ever."""

    @staticmethod
    def fault(left):
        def fail(request):
            if request["resource"] == "jobs/status" and left:
                left.pop()
                raise ApiError(503, "ServiceUnavailable", "etcdserver: leader changed")

        return fail

    def test_official(self, toy):
        toy.cluster.faults.append(self.fault([1]))
        driver = toy(OFFICIAL)
        toy.cluster.wait_until(lambda: any(pod["status"]["phase"] == "Succeeded" for pod in job_pods(toy.cluster)))
        toy.cluster.wait_until(lambda: "when checking pod status" in toy.cluster.pod_log(driver))
        count = len(toy.cluster.requests)
        time.sleep(3)
        assert toy.lab.phase(driver) == "Running"
        assert len(toy.cluster.requests) == count, "no further requests"

    def test_ours(self, toy):
        toy.cluster.faults.append(self.fault([1, 1]))
        driver = toy(STEADY)
        assert toy.lab.ended(driver) == "Succeeded", toy.cluster.pod_log(driver)
        assert "requesting its state again: 503" in toy.cluster.pod_log(driver)


class TestPodThatCannotBeStarted:
    """The official executor waits for it without end, and without a message."""

    def test_official(self, toy):
        del toy.cluster.images["job:1"]
        driver = toy(OFFICIAL)
        toy.cluster.wait_until(lambda: job_pods(toy.cluster))
        time.sleep(3)
        assert toy.lab.phase(driver) == "Running"
        assert "ImagePull" not in toy.cluster.pod_log(driver)

    @pytest.mark.parametrize(
        ("resources", "message"),
        [
            ("", 'ImagePullBackOff Back-off pulling image "job:1"'),
            ("gpu=9 gpu_manufacturer=nvidia scale=0", "Insufficient nvidia.com/gpu"),
        ],
    )
    def test_ours(self, toy, resources, message):
        del toy.cluster.images["job:1"]
        driver = toy(f"{STEADY} {resources} --kubernetes-steady-pending-minutes 0")
        assert toy.lab.ended(driver) == "Failed"
        assert "could not be started for 0 minutes" in toy.cluster.pod_log(driver)
        assert message in toy.cluster.pod_log(driver)
        assert not toy.cluster.find("jobs")


class TestPodOfALostNode:
    """With the official executor the job counts as failed, and its Job remains."""

    script = f"if test -e /work/second; then {WORKS}; else touch /work/second; sleep 60; fi"

    def test_official(self, toy):
        driver = toy(OFFICIAL, self.script)
        toy.cluster.drain(running_job(toy.cluster)["metadata"]["name"])
        assert toy.lab.ended(driver) == "Failed"
        assert toy.cluster.find("jobs")

    @pytest.mark.parametrize("way", ["drain", "evict"])
    def test_ours(self, toy, way):
        driver = toy(STEADY, self.script)
        pod = running_job(toy.cluster)
        toy.cluster.wait_until((toy.lab.work / "second").exists)
        getattr(toy.cluster, way)(pod["metadata"]["name"])
        assert toy.lab.ended(driver) == "Succeeded", toy.cluster.pod_log(driver)
        assert len(toy.cluster.created["jobs"]) == 1
        assert toy.cluster.overlapping() == []
        assert not toy.cluster.find("jobs")


class TestJobThatHangs:
    """The official executor does not read the resource `runtime`."""

    script = "echo its last words; sleep 600"

    def test_official(self, toy):
        toy.cluster.minute = 0.5
        driver = toy(f"{OFFICIAL} runtime=1", self.script)
        running_job(toy.cluster)
        time.sleep(3)
        assert toy.lab.phase(driver) == "Running"
        assert "activeDeadlineSeconds" not in job_pods(toy.cluster)[0]["spec"]

    def test_ours(self, toy):
        toy.cluster.minute = 0.5
        driver = toy(f"{STEADY} runtime=2", self.script)
        assert toy.lab.ended(driver) == "Failed"
        log = toy.cluster.pod_log(driver)
        assert "it took longer than its `runtime`" in log
        assert "its last words" in log
        (job,) = toy.cluster.created["jobs"]
        assert job["spec"]["template"]["spec"]["activeDeadlineSeconds"] == 120
        toy.cluster.wait_until(lambda: not toy.cluster.find("jobs"))  # once its pods have ended


class TestRemovedDriver:
    """With the official executor, its jobs continue and the Secret with the token remains, also after SIGTERM."""

    def test_official(self, toy):
        driver = toy(OFFICIAL, "sleep 60")
        running_job(toy.cluster)
        toy.cluster.drain(driver, grace=5)
        toy.cluster.wait_until(lambda: toy.lab.phase(driver) == "Gone")
        time.sleep(1)
        assert toy.cluster.find("jobs")
        assert toy.cluster.find("secrets")

    def test_ours(self, toy):
        driver = toy(STEADY, "sleep 60")
        running_job(toy.cluster)
        toy.cluster.drain(driver, grace=0)
        toy.cluster.wait_until(lambda: not toy.cluster.find("jobs") and not toy.cluster.find("secrets"), 10)
        toy.cluster.wait_until(lambda: not job_pods(toy.cluster), 20)


class TestSharedFileSystem:
    """The official executor overrides --shared-fs-usage, so that each pod copies, installs and unpacks."""

    def test_official(self, toy):
        storage = "--default-storage-provider fs --default-storage-prefix /work/store"
        driver = toy(OFFICIAL.replace(storage, "--shared-fs-usage input-output"))
        assert toy.lab.ended(driver) == "Failed"
        assert "If no shared filesystem is assumed" in toy.cluster.pod_log(driver)

    def test_ours(self, toy):
        assert toy.lab.ended(toy(STEADY)) == "Succeeded"
        (job,) = toy.cluster.created["jobs"]
        container = job["spec"]["template"]["spec"]["containers"][0]
        assert container["workingDir"] == "/work/toy"
        assert not any(word in container["args"][1] for word in ("pip install", "--deploy-sources"))


def test_a_gpu_node_of_any_provider_is_tolerated(toy):
    toy.cluster.nodes[:] = [*toy.cluster.nodes, GPU_NODE]
    taint = toy.cluster.nodes[-1].taints[0]
    taint["value"] = "true"
    driver = toy(f"{STEADY} gpu=1 gpu_manufacturer=nvidia scale=0")
    assert toy.lab.ended(driver) == "Succeeded", toy.cluster.pod_log(driver)


def test_a_lost_answer_makes_no_second_job(toy):
    """When the request is repeated, the Job of that name exists, and is the right one."""
    lost = [1]
    create = toy.cluster.create

    def losing(plural, namespace, body):
        made = create(plural, namespace, body)
        if plural == "jobs" and lost:
            lost.pop()
            raise ApiError(504, "Timeout", "the answer was lost")
        return made

    toy.cluster.create = losing
    driver = toy(STEADY)
    assert toy.lab.ended(driver) == "Succeeded", toy.cluster.pod_log(driver)
    assert len(toy.cluster.created["jobs"]) == 1


def test_missing_rights_end_the_run(toy):
    toy.cluster.rbac.withdraw("pods", "list")
    driver = toy(STEADY)
    assert toy.lab.ended(driver) == "Failed"
    assert "cannot list resource" in toy.cluster.pod_log(driver)
