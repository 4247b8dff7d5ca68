"""Events of jobs in a cluster: lost pods, quotas, refusals, sidecars, silent connections."""

import runpy
import threading
import time

import pytest

from tests.kube_server.errors import ApiError
from tests.kube_server.scheduler import Node
from tests.kubernetes.toy import STEADY, WORKS, job_pods, running_job
from tests.workflow import ROOT

refuses_for_good = runpy.run_path(str(ROOT / "deploy/executor/kubernetes_requests.py"))["refuses_for_good"]
ONCE = f"if test -e /work/second; then {WORKS}; else touch /work/second; sleep 60; fi"
TWO_JOBS = """
rule all:
    input:
        "a",
        "b",


rule work:
    output:
        "{name}",
    shell:
        "the pod's script does it"
"""


def wait_for_log(toy, driver, text):
    toy.cluster.wait_until(lambda: toy.cluster.begun(driver) and text in toy.cluster.pod_log(driver))


class TestLostPod:
    @pytest.mark.parametrize(
        "lose",
        [
            lambda cluster, pod: cluster.delete_pod(pod),
            lambda cluster, pod: cluster.reboot(pod, "Error"),
            lambda cluster, pod: cluster.reboot(pod, "Unknown"),
        ],
        ids=["deleted", "rebooted", "rebooted-end-unseen"],
    )
    def test_is_made_again_one_at_a_time(self, toy, lose):
        driver = toy(STEADY, ONCE)
        pod = running_job(toy.cluster)["metadata"]["name"]
        toy.cluster.wait_until((toy.lab.work / "second").exists)
        lose(toy.cluster, pod)
        assert toy.lab.ended(driver) == "Succeeded", toy.cluster.pod_log(driver)
        assert len(toy.cluster.created["jobs"]) == 1
        assert toy.cluster.overlapping() == []

    def test_is_made_again_a_bounded_number_of_times(self, toy):
        driver = toy(STEADY, "sleep 60")
        lost: set[str] = set()

        def over():
            for pod in job_pods(toy.cluster):
                if pod["status"]["phase"] == "Running" and pod["metadata"]["name"] not in lost:
                    lost.add(pod["metadata"]["name"])
                    toy.cluster.reboot(pod["metadata"]["name"])
            return toy.lab.phase(driver) == "Failed"

        toy.cluster.wait_until(over)
        assert len(lost) == 7
        assert "was lost: exit code 137" in toy.cluster.pod_log(driver)

    @pytest.mark.parametrize(("code", "reason"), [(137, "OOMKilled"), (1, "Error")])
    def test_is_not_a_pod_that_failed_without_a_disruption(self, toy, code, reason):
        toy.cluster.end_reasons[code] = reason
        driver = toy(STEADY, f"exit {code}")
        assert toy.lab.ended(driver) == "Failed"
        assert f"exit code {code} ({reason})" in toy.cluster.pod_log(driver)
        assert not toy.cluster.find("jobs")

    def test_on_a_dead_node_is_reported_with_a_remedy(self, toy):
        driver = toy(STEADY, ONCE)
        toy.cluster.wait_until(lambda: toy.cluster.begun(driver))
        toy.cluster.nodes[:] = [Node("node-2")]
        running_job(toy.cluster)
        toy.cluster.wait_until((toy.lab.work / "second").exists)
        toy.cluster.cut_off("node-2")
        toy.cluster.nodes[:] = [Node("node-3")]
        wait_for_log(toy, driver, "kubectl taint node node-2 node.kubernetes.io/out-of-service=nodeshutdown:NoExecute")
        assert len(job_pods(toy.cluster)) == 1
        assert toy.lab.phase(driver) == "Running"
        toy.cluster.out_of_service("node-2")
        assert toy.lab.ended(driver) == "Succeeded", toy.cluster.pod_log(driver)


class TestRefusedPod:
    def test_of_a_quota_is_tried_again_and_reported(self, toy):
        toy.cluster.limits.quota["pods"] = "1"  # the driver is one of them
        driver = toy(STEADY)
        wait_for_log(toy, driver, "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1")
        toy.cluster.limits.quota["pods"] = "2"
        assert toy.lab.ended(driver) == "Succeeded", toy.cluster.pod_log(driver)

    def test_that_is_refused_permanently_is_given_up_early(self, toy):
        driver = toy(f"{STEADY} --kubernetes-steady-pending-minutes 60")
        toy.cluster.limits.denied = "images come from registry.site.org"
        assert toy.lab.ended(driver, 90) == "Failed"
        assert "waiting would not help: Error creating: admission webhook" in toy.cluster.pod_log(driver)
        assert not toy.cluster.find("jobs")

    def test_does_not_occur_if_each_job_has_limits(self, toy):
        driver = toy(f"{STEADY} scale=0")  # as in the profiles
        toy.cluster.limits.must_specify = ("cpu", "memory", "ephemeral-storage")
        assert toy.lab.ended(driver) == "Succeeded", toy.cluster.pod_log(driver)
        assert toy.cluster.refused == []

    def test_is_tried_again_without_the_right_to_list_events(self, toy):
        toy.cluster.rbac.withdraw("events", "list")
        toy.cluster.limits.quota["pods"] = "1"
        driver = toy(STEADY)
        wait_for_log(toy, driver, "apply deploy/argo/base/role.yaml again")
        toy.cluster.limits.quota["pods"] = "2"
        assert toy.lab.ended(driver) == "Succeeded", toy.cluster.pod_log(driver)


@pytest.mark.parametrize(
    ("message", "for_good"),
    [
        ('pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=9, limited: pods=9', False),
        ('pods "x" is forbidden: exceeded quota: q, requested: memory=8G, used: memory=0, limited: memory=4Gi', True),
        ('pods "x" is forbidden: failed quota: q: must specify limits.memory for: snakemake', True),
        ('pods "x" is forbidden: maximum memory usage per Container is 500Mi, but limit is 2G', True),
        ('pods "x" is forbidden: error looking up service account default/x: serviceaccount "x" not found', True),
        ('Internal error occurred: failed calling webhook "w": Post "https://w": connection refused', False),
        ('admission webhook "w" denied the request: no', True),
        ("it has no pod", False),
    ],
)
def test_permanent_refusals(message, for_good):
    assert refuses_for_good(message) is for_good


class TestJobsQuota:
    def test_is_waited_for_without_cancelling_jobs(self, toy):
        toy.cluster.limits.quota["count/jobs.batch"] = "1"
        (toy.lab.work / "toy" / "Snakefile").write_text(TWO_JOBS)
        driver = toy(STEADY, "sleep 3; touch a b")
        assert toy.lab.ended(driver) == "Succeeded", toy.cluster.pod_log(driver)
        assert "exceeded quota: q, requested: count/jobs.batch=1" in toy.cluster.pod_log(driver)
        assert len(toy.cluster.created["jobs"]) == 2

    def test_of_zero_fails_that_job(self, toy):
        toy.cluster.limits.quota["count/jobs.batch"] = "0"
        driver = toy(STEADY)
        assert toy.lab.ended(driver) == "Failed"
        assert "Error in rule work" in toy.cluster.pod_log(driver)
        assert not toy.cluster.find("secrets")


def test_a_log_is_read_if_the_pod_has_a_sidecar(toy):
    toy.cluster.sidecar = {"name": "proxy", "image": "job:1"}
    driver = toy(STEADY, "echo its last words; exit 3")
    assert toy.lab.ended(driver) == "Failed"
    assert "its last words" in toy.cluster.pod_log(driver)
    assert "no log" not in toy.cluster.pod_log(driver)


def test_a_job_of_an_earlier_driver_is_waited_for_until_it_is_removed(toy):
    toy.cluster.deletion_seconds = 300
    first = toy(f"{STEADY} --nolock", "sleep 60", RUN_NAME="r")
    running_job(toy.cluster)
    toy.cluster.drain(first, grace=0)
    toy.cluster.wait_until(lambda: toy.lab.phase(first) == "Gone")
    second = toy(f"{STEADY} --nolock", WORKS, RUN_NAME="r")
    wait_for_log(toy, second, "of an earlier driver is still being deleted")
    toy.cluster.deletion_seconds = 0.1
    assert toy.lab.ended(second) == "Succeeded", toy.cluster.pod_log(second)
    assert toy.cluster.overlapping() == []


def test_a_silent_connection_is_given_up(toy):
    silent, over = [1], threading.Event()

    def half_open(request):
        if request["resource"] == "jobs/status" and silent:
            silent.pop()
            over.wait(120)

    toy.cluster.faults.append(half_open)
    driver = toy(STEADY)
    try:
        assert toy.lab.ended(driver) == "Succeeded", toy.cluster.pod_log(driver)
    finally:
        over.set()
    assert "Read timed out" in toy.cluster.pod_log(driver)


def test_renewed_tokens_are_read_again(toy):
    """Between two tokens the driver is refused (401), and repeats requests until it has read the new one."""
    driver = toy(STEADY, ONCE.replace("sleep 60", f"while ! test -e /work/go; do sleep 0.2; done; {WORKS}"))
    running_job(toy.cluster)
    refused = len([one for one in toy.cluster.requests if one.get("status") == 401])
    toy.cluster.rotate_tokens(late=2)
    wait_for_log(toy, driver, "Unauthorized")
    (toy.lab.work / "go").touch()
    assert toy.lab.ended(driver) == "Succeeded", toy.cluster.pod_log(driver)
    assert refused == 0
    assert len(toy.cluster.created["jobs"]) == 1


def test_a_busy_server_is_asked_again_after_retry_after(toy):
    times = []

    def busy(request):
        if request["resource"] == "jobs" and request["verb"] == "create":
            times.append(time.monotonic())
            if len(times) == 1:
                raise ApiError(429, "TooManyRequests", "please try again later", {"Retry-After": "3"})

    toy.cluster.faults.append(busy)
    driver = toy(STEADY)
    assert toy.lab.ended(driver) == "Succeeded", toy.cluster.pod_log(driver)
    assert times[1] - times[0] >= 3
