"""The driver's entry point: signals at any moment, an API server that does not answer, and the removal of a run.

A test's program takes Snakemake's place; tests/kubernetes/test_fan_out.py drains a driver with the real one.
"""

import random
import time
from dataclasses import replace

import pytest

from tests.kube_server.errors import ApiError
from tests.kubernetes.lab import IMAGE, JOB, RESTRICTED

# From the container's start to the middle of a run.
MOMENTS = [0.0, 0.01, 0.03, 0.1, *(random.Random(17).uniform(0.1, 4) for _ in range(4))]
ENTRY = "exec python /workflow/deploy/entrypoint.py"
OBEYS = "import time; open('begun', 'w').close(); time.sleep(300)"
IGNORES_INTERRUPT = """
import os, signal, subprocess, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
open("begun", "w").close()
subprocess.Popen(["/bin/sh", "-c", "while :; do date >> uploads; sleep 0.1; done"])
while True:
    time.sleep(1)
"""
UPLOADS = "while :; do date >> /work/jobs-uploads; sleep 0.1; done"


@pytest.fixture
def drivers(lab, image):
    """Return a function that starts a driver with a program in place of Snakemake."""
    one = lab(restricted=False)
    one.cluster.images[IMAGE] = replace(image, env=image.env | {"PYTHONPATH": "/work/fake:/workflow/deploy/executor"})
    (one.work / "fake" / "snakemake").mkdir(parents=True)
    (one.work / "fake" / "snakemake" / "__init__.py").touch()

    def start(program, name="r", command="run kubernetes"):
        (one.work / "fake" / "snakemake" / "__main__.py").write_text(program)
        (one.work / name).mkdir(exist_ok=True)
        env = one.environment() | {"RUN_NAME": name, "IMAGE": IMAGE}
        return one.pod(f"cd /work/{name}; {ENTRY} {command}", env)

    start.lab, start.cluster = one, one.cluster
    return start


def leave_job(cluster, run):
    """Create a job of a run that uploads until it is removed."""
    labels = {"tator-detection/run": run}
    container = {"name": "snakemake", "image": IMAGE, "command": ["/bin/sh", "-c", UPLOADS]}
    container |= {"volumeMounts": [{"name": "work", "mountPath": "/work"}], "securityContext": RESTRICTED}
    spec = {"restartPolicy": "Never", "serviceAccountName": JOB, "containers": [container]}
    spec |= {"terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False}
    spec |= {"volumes": [{"name": "work", "persistentVolumeClaim": {"claimName": "work"}}]}
    body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": f"job-{run}", "labels": labels}}
    body["spec"] = {"backoffLimit": 0, "template": {"metadata": {"labels": labels}, "spec": spec}}
    cluster.create("jobs", cluster.namespace, body)


def grows(path):
    size = path.stat().st_size if path.exists() else 0
    time.sleep(1)
    return path.exists() and path.stat().st_size > size


def test_a_signal_is_never_lost(drivers):
    """Whenever the signal is sent, the run ends with 143 in time, and none of its processes still uploads."""
    names = {moment: drivers(OBEYS, f"r{at}") for at, moment in enumerate(MOMENTS)}
    for at in range(len(MOMENTS)):
        leave_job(drivers.cluster, f"r{at}")
    sent = set()

    def all_sent():
        for moment, name in names.items():
            if name not in sent and drivers.cluster.begun_since(name) >= moment:
                sent.add(name)
                drivers.cluster.drain(name, grace=55)
        return len(sent) == len(names)

    drivers.cluster.wait_until(all_sent, 60)
    drivers.cluster.wait_until(lambda: all(drivers.lab.phase(name) == "Gone" for name in names.values()), 60)
    codes = {moment: drivers.cluster.exit_code(name) for moment, name in names.items()}
    assert codes == dict.fromkeys(MOMENTS, 143)
    drivers.cluster.wait_until(lambda: not drivers.cluster.find("jobs"), 5)
    assert not grows(drivers.lab.work / "jobs-uploads")


def test_a_program_that_ignores_the_interrupt_is_killed_with_its_processes(drivers):
    driver = drivers(IGNORES_INTERRUPT)
    drivers.cluster.wait_until((drivers.lab.work / "r" / "uploads").exists)
    leave_job(drivers.cluster, "r")
    drivers.cluster.wait_until((drivers.lab.work / "jobs-uploads").exists)
    begun = time.monotonic()
    drivers.cluster.drain(driver, grace=60)
    drivers.cluster.wait_until(lambda: drivers.lab.phase(driver) == "Gone", 50)
    assert drivers.cluster.exit_code(driver) == 143
    assert time.monotonic() - begun < 40
    assert not grows(drivers.lab.work / "r" / "uploads")
    assert not grows(drivers.lab.work / "jobs-uploads")
    assert not drivers.cluster.find("jobs")
    assert "Snakemake did not end within 20 s" in drivers.cluster.pod_log(driver)


@pytest.mark.parametrize("command", ["run kubernetes", "conclude Failed"])
def test_an_api_server_that_does_not_answer_is_waited_for(drivers, command):
    refused = []

    def away(request):
        if len(refused) < 4:
            refused.append(request)
            raise ApiError(503, "ServiceUnavailable", "etcd is starting")

    drivers.cluster.faults.append(away)
    leave_job(drivers.cluster, "r")
    driver = drivers("raise SystemExit(0)", command=command)
    assert drivers.lab.ended(driver) == "Succeeded", drivers.cluster.pod_log(driver)
    assert "retrying the request to Kubernetes: 503" in drivers.cluster.pod_log(driver)
    assert not drivers.cluster.find("jobs")


def test_a_stop_ends_in_time_while_the_api_server_does_not_answer(drivers):
    def away(request):
        raise ApiError(503, "ServiceUnavailable", "etcd is starting")

    drivers.cluster.faults.append(away)
    driver = drivers(OBEYS)
    drivers.cluster.wait_until(lambda: drivers.cluster.begun(driver))
    drivers.cluster.wait_until(lambda: "retrying the request" in drivers.cluster.pod_log(driver))
    drivers.cluster.drain(driver, grace=60)
    drivers.cluster.wait_until(lambda: drivers.lab.phase(driver) == "Gone", 50)
    assert drivers.cluster.exit_code(driver) == 143
    assert not (drivers.lab.work / "r" / "begun").exists()


@pytest.mark.parametrize("code", [0, 1, 254])
def test_the_exit_code_is_that_of_snakemake_unless_it_is_stopped(drivers, code):
    driver = drivers(f"raise SystemExit({code})")
    drivers.lab.ended(driver)
    assert drivers.cluster.exit_code(driver) == code
