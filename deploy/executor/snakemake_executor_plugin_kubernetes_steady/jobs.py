"""Change a Job before it is created: what its pod may do, and which of its pods Kubernetes replaces."""

from typing import Any

from kubernetes import client

from .pods import CONTAINER, LOST_CODES, LOST_PODS

GRACE_SECONDS = 5
CLAIM_VOLUME = "work"


def replace_lost_pods(spec: Any) -> None:
    """Let Kubernetes replace lost pods, one at a time and LOST_PODS times, but no pod that failed by itself.

    A pod that was killed for its memory ends with 137, like a lost one; the executor distinguishes them.
    """
    spec.backoff_limit = LOST_PODS
    spec.pod_replacement_policy = "Failed"  # not before the lost one has ended
    disrupted = client.V1PodFailurePolicyOnPodConditionsPattern(type="DisruptionTarget", status="True")
    own = client.V1PodFailurePolicyOnExitCodesRequirement(
        container_name=CONTAINER, operator="NotIn", values=sorted(LOST_CODES)
    )
    spec.pod_failure_policy = client.V1PodFailurePolicy(
        rules=[
            client.V1PodFailurePolicyRule(action="Count", on_pod_conditions=[disrupted]),
            client.V1PodFailurePolicyRule(action="FailJob", on_exit_codes=own),
        ]
    )


def rename_claims(spec: Any) -> None:
    """Give the volumes of claims short names: `work`, then `work-2`, ...

    The official executor uses a claim's name. That may have 253 characters and dots, a volume's name 63 and none.
    """
    claims = [volume for volume in spec.volumes if volume.persistent_volume_claim is not None]
    names = {
        volume.name: CLAIM_VOLUME if number == 1 else f"{CLAIM_VOLUME}-{number}"
        for number, volume in enumerate(claims, start=1)
    }
    for named in [*claims, *spec.containers[0].volume_mounts]:
        named.name = names.get(named.name, named.name)


def restrict(spec: Any, user: int) -> None:
    """Make a pod meet the Pod Security Standard "restricted", with a read-only root and without the API's token."""
    spec.automount_service_account_token = False
    spec.enable_service_links = False
    # The shell that the official executor starts ignores SIGTERM; what a job writes is complete or absent anyway.
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
