"""`--executor kubernetes-steady`: the official Kubernetes executor, and what it lacks in a run that nobody watches.

The official plugin does all that is not named here. docs/executor-upstream.md says what each repair is for, and what is
to be sent upstream; tests/kubernetes/test_repairs.py shows each need with the official plugin. In short:

- A status request that fails is asked again, in place of forgetting the job and waiting for ever.
- A failed job's log is read as a pod that never restarted has it; without one, its Job is deleted all the same.
- A pod that cannot be started is given up after `pending_minutes`, with the scheduler's reason.
- A pod that its node lost is made again by Kubernetes itself (a pod failure policy), without counting as a failure.
- Jobs and Secret belong to the driver pod and carry the run's name, so that they go with it, and can be found.
- With a shared working directory, or sources in the image, nothing is installed, copied or unpacked by a pod.
- Pods keep to the Pod Security Standard "restricted", with a read-only root and without access to the API.

Importable where its parent folder is on PYTHONPATH, which is where Snakemake looks for plugins.
"""

import os
import time
from collections.abc import AsyncGenerator, Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import snakemake_executor_plugin_kubernetes as official
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.settings import SharedFSUsage
from urllib3.exceptions import HTTPError

from .pods import Ended, Pending, Running, judge, restrict
from .registry import mount_login

RUN_LABEL = "tator-detection/run"
# How long a request that fails is made again, in seconds; pauses grow to PAUSE_SECONDS.
PATIENCE_SECONDS, PAUSE_SECONDS = 300.0, 15.0
LAST_LINES = 20


@dataclass
class ExecutorSettings(official.ExecutorSettings):  # type: ignore[misc]
    """The official settings, and ours."""

    pending_minutes: int = field(
        default=60, metadata={"help": "Minutes after which a pod that cannot be started is given up.", "type": int}
    )
    ttl_minutes: int = field(
        default=60,
        metadata={"help": "Minutes after which Kubernetes removes a finished job that was left behind.", "type": int},
    )
    user: int = field(default=1000, metadata={"help": "Number of the user that jobs run as.", "type": int})


common_settings = replace(
    official.common_settings,
    implies_no_shared_fs=False,  # --shared-fs-usage says what is shared
    job_deploy_sources=False,
    auto_deploy_default_storage_provider=False,  # the image has the storage plugins
)


def _transient(error: Exception) -> bool:
    """Tell whether waiting may cure a request's fault; a 401 is a token that is being renewed."""
    return not isinstance(error, ApiException) or error.status in (0, 401, 408, 429) or error.status >= 500


class Executor(official.Executor):  # type: ignore[misc]
    """The official executor with its faults repaired."""

    def __post_init__(self) -> None:
        """Connect; every Job is adapted before it is made."""
        super().__post_init__()
        self._pending_since: dict[str, float] = {}
        self._rules: set[str] = set()
        create = self.batchapi.create_namespaced_job
        self.batchapi.create_namespaced_job = lambda namespace, body: create(namespace, self._adapted(body))

    def register_secret(self) -> None:
        """Make the Secret, by the run's name: who cleans up after a lost driver has to find it."""
        self.run_namespace: str = os.environ.get("RUN_NAME") or self.run_namespace
        create = self.kubeapi.create_namespaced_secret
        self.kubeapi.create_namespaced_secret = lambda namespace, body: self._kubernetes_retry(
            partial(create, namespace, self._owned(body))
        )
        super().register_secret()

    def _adapted(self, body: Any) -> Any:
        """Return a Job as it is to be made, a copy: the request may have to be made again."""
        body = deepcopy(body)
        settings = self.workflow.executor_settings
        template = body.spec.template
        container = template.spec.containers[0]
        self._owned(body)
        template.metadata = client.V1ObjectMeta(labels=dict(body.metadata.labels))
        body.spec.ttl_seconds_after_finished = 60 * settings.ttl_minutes
        lost = client.V1PodFailurePolicyOnPodConditionsPattern(type="DisruptionTarget", status="True")
        body.spec.pod_failure_policy = client.V1PodFailurePolicy(
            rules=[client.V1PodFailurePolicyRule(action="Ignore", on_pod_conditions=[lost])]
        )
        if SharedFSUsage.INPUT_OUTPUT in self.workflow.storage_settings.shared_fs_usage:
            # Where the driver is, which is on a claim that both mount.
            container.working_dir = str(Path.cwd())
            container.volume_mounts = [mount for mount in container.volume_mounts if mount.name != "workdir"]
            template.spec.volumes = [volume for volume in template.spec.volumes if volume.name != "workdir"]
        for toleration in template.spec.tolerations or []:
            toleration.operator, toleration.value = "Exists", None  # the official one knows one provider's taint
        restrict(template.spec, settings.user)
        if secret := os.environ.get("REGISTRY_SECRET"):
            mount_login(template.spec, secret, self._rules)
        return body

    def run_job(self, job: Any) -> None:
        """Start a job; its rules say what its pod needs."""
        self._rules = set(job.rules)
        super().run_job(job)

    def _owned(self, body: Any) -> Any:
        """Let the driver pod, known by the downward API, own an object, and name its run."""
        body.metadata.labels = {**(body.metadata.labels or {}), "app": "tator-detection"}
        if os.environ.get("RUN_NAME"):
            body.metadata.labels[RUN_LABEL] = os.environ["RUN_NAME"]
        if os.environ.get("POD_UID"):
            owner = {"api_version": "v1", "kind": "Pod", "name": os.environ["POD_NAME"], "uid": os.environ["POD_UID"]}
            body.metadata.owner_references = [client.V1OwnerReference(**owner)]
        return body

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Report the jobs that have ended, and yield the others."""
        for info in active_jobs:
            async with self.status_rate_limiter:
                try:
                    state = self._state(info.external_jobid)
                except (ApiException, HTTPError) as error:
                    if not _transient(error):
                        raise WorkflowError(f"the state of job {info.external_jobid} cannot be read", error) from error
                    self.logger.warning(f"Job {info.external_jobid}: its state is asked for again: {_brief(error)}")
                    yield info
                    continue
            match state:
                case Running() | Pending():
                    yield info
                case Ended(succeeded=True):
                    self.report_job_success(info)
                    self._delete(info.external_jobid)
                case Ended(reason=reason, pod=pod):
                    logs, words = self._keep_log(info.external_jobid, pod)
                    self.report_job_error(info, msg=f"{info.external_jobid}: {reason}. {words}", aux_logs=logs)
                    self._delete(info.external_jobid)

    def _state(self, name: str) -> Running | Pending | Ended:
        try:
            job = self.batchapi.read_namespaced_job_status(name, self.namespace)
        except ApiException as error:
            if error.status == 404:
                return Ended(False, "somebody deleted it")
            raise
        state = judge(job, self.kubeapi.list_namespaced_pod(self.namespace, label_selector=f"job-name={name}").items)
        if not isinstance(state, Pending):
            self._pending_since.pop(name, None)
            return state
        minutes = (time.monotonic() - self._pending_since.setdefault(name, time.monotonic())) / 60
        if minutes < self.workflow.executor_settings.pending_minutes:
            return state
        return Ended(False, f"its pod could not be started for {minutes:.0f} minutes: {state.reason}")

    def _keep_log(self, name: str, pod: str | None) -> tuple[list[str], str]:
        """Write a failed job's log, if there is one, to a file; return the file and the last lines."""
        if pod is None:
            return [], ""
        try:
            text = self._kubernetes_retry(partial(self.kubeapi.read_namespaced_pod_log, pod, self.namespace)) or ""
        except WorkflowError as error:
            text = f"(no log: {error})"
        path = self.log_path / f"{name}.log"
        path.write_text(text, encoding="utf-8")
        return [str(path)], "\n".join(["The pod's last lines:", *text.splitlines()[-LAST_LINES:], ""])

    def _delete(self, name: str) -> None:
        self._pending_since.pop(name, None)
        if not self.workflow.executor_settings.omit_job_cleanup:
            self._kubernetes_retry(partial(self.safe_delete_job, name))

    def _kubernetes_retry(self, func: Callable[[], Any]) -> Any:
        """Make a request, again while its fault is one that waiting may cure."""
        deadline, pause, sent = time.monotonic() + PATIENCE_SECONDS, 0.5, False
        while True:
            try:
                with self.lock:
                    return func()
            except (ApiException, HTTPError) as error:
                if sent and isinstance(error, ApiException) and error.status == 409:
                    return None  # made by the request whose answer was lost
                if not _transient(error) or time.monotonic() > deadline:
                    raise WorkflowError(f"Kubernetes refuses: {_brief(error)}") from error
                self.logger.warning(f"Kubernetes is asked again in {pause} s: {_brief(error)}")
                sent = True
            time.sleep(pause)
            pause = min(2 * pause, PAUSE_SECONDS)


def _brief(error: Exception) -> str:
    text = f"{error.status} {error.body or error.reason}" if isinstance(error, ApiException) else str(error)
    return text if len(text) < 300 else f"{text[:300]} ..."
