"""Ends of a pod that count as a loss, after which the pod is made again, and ends that do not."""

import runpy

import pytest
from kubernetes import client

from tests.workflow import ROOT

lost = runpy.run_path(str(ROOT / "deploy/executor/snakemake_executor_plugin_kubernetes_steady/pods.py"))["lost"]
DISRUPTED = client.V1PodCondition(type="DisruptionTarget", status="True", reason="TerminationByKubelet")
DISK = "Pod ephemeral local storage usage exceeds the total limit of containers 1G. "
NODE = "The node was low on resource: memory. Container snakemake was using 9Gi, request is 1Gi"


def pod(phase="Failed", ended=None, conditions=(), **status):
    statuses = []
    if ended is not None:
        terminated = client.V1ContainerStateTerminated(exit_code=ended[0], reason=ended[1])
        state = client.V1ContainerState(terminated=terminated)
        statuses.append(
            client.V1ContainerStatus(
                name="snakemake", state=state, image="i", image_id="", ready=False, restart_count=0
            )
        )
    pod_status = client.V1PodStatus(phase=phase, container_statuses=statuses, conditions=list(conditions), **status)
    return client.V1Pod(metadata=client.V1ObjectMeta(name="p"), status=pod_status)


@pytest.mark.parametrize(
    "one",
    [
        pod(ended=(137, "Error")),
        pod(ended=(143, "Error")),
        pod(ended=(255, "Unknown")),
        pod(ended=(137, "ContainerStatusUnknown")),
        pod(ended=(1, "Error"), conditions=[DISRUPTED]),
        pod(conditions=[DISRUPTED], reason="Evicted", message=NODE),
        pod(reason="UnexpectedAdmissionError", message="no healthy devices present; cannot allocate nvidia.com/gpu"),
        pod(phase="Running", conditions=[DISRUPTED]),
    ],
)
def test_ends_that_are_losses(one):
    assert lost(one)


@pytest.mark.parametrize(
    "one",
    [
        pod(ended=(1, "Error")),
        pod(ended=(137, "OOMKilled")),
        pod(ended=(137, "OOMKilled"), conditions=[DISRUPTED]),
        pod(ended=(255, "Error")),
        pod(ended=(137, "Error"), reason="DeadlineExceeded"),
        pod(ended=(137, "Error"), conditions=[DISRUPTED], reason="Evicted", message=DISK),
        pod(
            conditions=[DISRUPTED], reason="Evicted", message='Usage of EmptyDir volume "tmp" exceeds the limit "1G". '
        ),
        pod(phase="Running"),
        pod(phase="Pending"),
    ],
)
def test_ends_that_are_not_losses(one):
    assert not lost(one)
