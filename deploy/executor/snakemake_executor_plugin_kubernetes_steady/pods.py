"""Read a job's state from its Job and its pods."""

import re
from dataclasses import dataclass
from typing import Any

CONTAINER = "snakemake"
# How often a lost pod is replaced; Kubernetes' own pauses between two grow from ten seconds to six minutes.
LOST_PODS = 6
# The exit codes of a container that was killed (SIGKILL, SIGTERM), or whose end was not observed as its node rebooted.
KILLED, TERMINATED, UNSEEN = 137, 143, 255
# The kubelet's reason for a pod that it ended after its activeDeadlineSeconds.
TOO_LONG = "DeadlineExceeded"
LOST_CODES = (KILLED, TERMINATED, UNSEEN)
# The kubelet's message for a pod that it evicts as it used more disk than its own limits allow.
_OWN_DISK = re.compile(r"exceeds the (total )?limit|exceeded its local ephemeral storage limit")


@dataclass(frozen=True)
class Running:
    """It runs, or has ended and Kubernetes has not yet counted it."""


@dataclass(frozen=True)
class Pending:
    """No pod runs; `reason` is empty if the pods do not say why."""

    reason: str


@dataclass(frozen=True)
class Ended:
    """It is over; `pod` has the log."""

    succeeded: bool
    reason: str = ""
    pod: str | None = None


def job_state(job: Any, pods: list[Any]) -> Running | Pending | Ended:
    """Return a job's state.

    A container that a cluster adds to each pod may outlive ours, so our container's end counts before the Job's.
    """
    ends = {pod.metadata.name: _end(pod) for pod in pods}
    if job.status.succeeded or any(end is not None and end.exit_code == 0 for end in ends.values()):
        return Ended(True)
    losses = {pod.metadata.name: lost(pod) for pod in pods}
    for pod in pods:
        name = pod.metadata.name
        if not losses[name] and (failure := _failure(pod, ends[name])):
            return failure
    for condition in job.status.conditions or []:
        if condition.type == "Failed" and condition.status == "True":
            reasons = [condition.message or condition.reason or "it failed"]
            reasons += [f"its pod {name} was lost: {loss}" for name, loss in losses.items() if loss]
            return Ended(False, "; ".join(reasons))
    if any(pod.status.phase == "Running" and pod.metadata.deletion_timestamp is None for pod in pods):
        return Running()
    return Pending("; ".join(filter(None, map(_hindrance, pods))))


def lost(pod: Any) -> str:
    """Return how a pod was lost, so that Kubernetes replaces it; empty if it was not lost.

    A pod that failed by itself (an exit code of its own, too much memory or disk, too much time) was not lost.
    """
    end = _end(pod)
    killed_for_memory = end is not None and end.reason == "OOMKilled"
    if killed_for_memory or pod.status.reason == TOO_LONG or _OWN_DISK.search(pod.status.message or ""):
        return ""
    for condition in pod.status.conditions or []:
        if condition.type == "DisruptionTarget" and condition.status == "True":
            return str(pod.status.message or condition.message or condition.reason or "it was evicted")
    if pod.status.phase != "Failed":
        return ""
    if end is None:  # the kubelet refused it, as it does after a reboot until devices are known again
        return str(pod.status.message or pod.status.reason or "it was not started")
    if end.exit_code in (KILLED, TERMINATED) or end.reason in ("Unknown", "ContainerStatusUnknown"):
        return f"exit code {end.exit_code} ({end.reason})"
    return ""


def _failure(pod: Any, end: Any) -> Ended | None:
    """Return how a pod that was not lost has failed; None while it runs."""
    name = pod.metadata.name
    if pod.status.reason == TOO_LONG:
        return Ended(False, "it took longer than its `runtime`; if it was still working, raise that", name)
    if end is not None:
        return Ended(False, f"exit code {end.exit_code} ({pod.status.message or end.reason})", name)
    if pod.status.phase == "Failed":
        return Ended(False, pod.status.message or pod.status.reason or "its pod failed")
    return None


def _end(pod: Any) -> Any:
    """Return how our container ended; None while it runs."""
    for status in pod.status.container_statuses or []:
        if status.name == CONTAINER:
            return status.state.terminated
    return None


def _hindrance(pod: Any) -> str:
    """Return why a pod does not run; empty if it does not say so."""
    name, node = pod.metadata.name, pod.spec.node_name
    if pod.status.phase == "Failed":
        loss = lost(pod)
        return f"its pod {name} was lost ({loss}), and is replaced" if loss else ""
    if pod.metadata.deletion_timestamp is not None:
        since = f"{pod.metadata.deletion_timestamp:%Y-%m-%d %H:%M:%S}"
        remedy = f"kubectl taint node {node} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
        return f"its pod {name} on node {node} has been terminating since {since}; if the node is dead: {remedy}"
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            return str(condition.message or condition.reason)
    for status in pod.status.container_statuses or []:
        if status.state.waiting is not None:
            return f"{status.state.waiting.reason} {status.state.waiting.message or ''}".strip()
    return ""
