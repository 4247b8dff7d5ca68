"""What a Job and its pods say of a job's state, and what a pod has to keep to."""

from dataclasses import dataclass
from typing import Any

from kubernetes import client

CONTAINER = "snakemake"
GRACE_SECONDS = 5


@dataclass(frozen=True)
class Running:
    """It runs, or has ended and Kubernetes has not yet counted it."""


@dataclass(frozen=True)
class Pending:
    """No pod runs yet."""

    reason: str


@dataclass(frozen=True)
class Ended:
    """It is over; `pod` has the log."""

    succeeded: bool
    reason: str = ""
    pod: str | None = None


def judge(job: Any, pods: list[Any]) -> Running | Pending | Ended:
    """Return a job's state.

    A container that a cluster adds to each pod may outlive ours, so our container's end counts before the Job's.
    """
    ends = {pod.metadata.name: _end(pod) for pod in pods if not _lost(pod)}
    if job.status.succeeded or any(end is not None and end.exit_code == 0 for end in ends.values()):
        return Ended(True)
    for name, end in ends.items():
        if end is not None:
            return Ended(False, f"exit code {end.exit_code} ({end.reason})", name)
    for condition in job.status.conditions or []:
        if condition.type == "Failed" and condition.status == "True":
            return Ended(False, condition.message or condition.reason or "it failed")
    if any(pod.status.phase == "Running" for pod in pods):
        return Running()
    return Pending("; ".join(filter(None, map(_hindrance, pods))) or "it has no pod")


def _lost(pod: Any) -> bool:
    """Tell whether a pod was evicted, drained or preempted: Kubernetes makes another one."""
    return any(one.type == "DisruptionTarget" and one.status == "True" for one in pod.status.conditions or [])


def _end(pod: Any) -> Any:
    """Return how our container ended, None while it has not."""
    for status in pod.status.container_statuses or []:
        if status.name == CONTAINER:
            return status.state.terminated
    return None


def _hindrance(pod: Any) -> str:
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            return str(condition.message or condition.reason)
    for status in pod.status.container_statuses or []:
        if status.state.waiting is not None:
            return f"{status.state.waiting.reason} {status.state.waiting.message or ''}".strip()
    return ""


def restrict(spec: Any, user: int) -> None:
    """Let a pod keep to the Pod Security Standard "restricted", with a read-only root and without the API's token."""
    spec.automount_service_account_token = False
    spec.enable_service_links = False
    # The shell that the official executor starts heeds no SIGTERM; what a job writes is complete or absent anyway.
    spec.termination_grace_period_seconds = GRACE_SECONDS
    spec.security_context = client.V1PodSecurityContext(
        run_as_non_root=True,
        run_as_user=user,
        run_as_group=user,
        fs_group=user,
        fs_group_change_policy="OnRootMismatch",
        seccomp_profile=client.V1SeccompProfile(type="RuntimeDefault"),
    )
    container = spec.containers[0]
    container.security_context = client.V1SecurityContext(
        allow_privilege_escalation=False,
        capabilities=client.V1Capabilities(drop=["ALL"]),
        read_only_root_filesystem=True,
    )
    spec.volumes.append(client.V1Volume(name="tmp", empty_dir=client.V1EmptyDirVolumeSource()))
    container.volume_mounts.append(client.V1VolumeMount(name="tmp", mount_path="/tmp"))  # noqa: S108
