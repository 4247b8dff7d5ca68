"""`--executor kubernetes-steady`: the official Kubernetes executor, with fixes for unattended runs.

The official plugin does everything that is not named here. docs/executor-upstream.md says what each fix is for, and
what is to be sent upstream; tests/kubernetes shows each need. In short:

- Each request has a time-out, and is retried after temporary errors (kubernetes_requests.py).
- A status request that fails is repeated, instead of forgetting the job and waiting forever.
- A failed job's log is requested without `previous`, as its pod never restarts; its Job is deleted also without a log.
- A pod that cannot be started is given up after `pending_minutes`, with the reason of the scheduler, the kubelet or the
  events; one that is refused permanently is given up after half a minute.
- Kubernetes itself replaces a pod that was lost, a limited number of times; it does not replace one that failed.
- A pod ends when its job's `runtime` is over.
- A refused Job fails only that job; the executor waits for a quota.
- The driver pod owns the Jobs and the Secret, so that they are deleted with it; a label names their run.
- Folders that are uploaded file by file to an S3-compatible store are noted there until they are complete.
- With a shared working directory, or sources in the image, nothing is installed, copied or unpacked by a pod.
- Pods keep to the Pod Security Standard "restricted", with a read-only root and without access to the API.

Importable where its parent folder is on PYTHONPATH, which is where Snakemake looks for plugins.
"""

import os
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import snakemake_executor_plugin_kubernetes as official
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes_requests import (
    Reasons,
    Refused,
    RetryTimeout,
    TemporarilyUnavailable,
    brief,
    connect,
    refuses_for_good,
    retry_request,
    transient,
)
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.settings import SharedFSUsage
from urllib3.exceptions import HTTPError

from . import folders
from .jobs import rename_claims, replace_lost_pods, restrict
from .pods import CONTAINER, Ended, Pending, Running, job_state, lost
from .refusals import refusal
from .registry import mount_login

RUN_LABEL, REQUEST = "tator-detection/run", "tator-detection/request"
# How long requests are retried whose failure ends no run: reading a log, and removing a finished Job, which its TTL
# removes too; and all requests of a run that is stopped, which has to end before its own pod is killed.
SHORT_SECONDS, STOPPING_SECONDS = 60.0, 10.0
# After how long the log says why a job waits, and a job that is always refused is given up.
LOG_SECONDS, REFUSED_SECONDS = 10.0, 30.0
LAST_LINES = 20


@dataclass
class ExecutorSettings(official.ExecutorSettings):  # type: ignore[misc]
    """The official settings, and ours."""

    pending_minutes: int = field(
        default=60,
        metadata={
            "help": "Minutes after which the executor gives up: on a pod that cannot be started, a request that the "
            "API server does not answer, a quota that stays used up.",
            "type": int,
        },
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


class Executor(official.Executor):  # type: ignore[misc]
    """The official executor with fixes."""

    def __post_init__(self) -> None:
        """Prepare the state that is kept of jobs and requests, and connect."""
        self._stopping = Event()
        self._patience = 60.0 * self.workflow.executor_settings.pending_minutes
        self._made: set[str] = set()  # Jobs that may exist; Snakemake's list omits jobs whose status is being read
        self._pending_since: dict[str, float] = {}
        self._rules: set[str] = set()
        self._minutes: int | None = None
        self._answered = time.monotonic()
        self._warn = Reasons(self.logger.warning)
        super().__post_init__()

    def register_secret(self) -> None:
        """Connect again, with time-outs, and make the Secret, with the run's name so that the cleanup finds it."""
        self.run_namespace: str = os.environ.get("RUN_NAME") or self.run_namespace
        self.kubeapi, self.batchapi = connect()
        create_secret, create_job = self.kubeapi.create_namespaced_secret, self.batchapi.create_namespaced_job
        self.kubeapi.create_namespaced_secret = lambda namespace, body: self._kubernetes_retry(
            partial(self._create_secret, create_secret, namespace, self._owned(body))
        )
        self.batchapi.create_namespaced_job = partial(self._create_job, create_job)
        super().register_secret()

    def run_job(self, job: Any) -> None:
        """Create the Kubernetes Job of a job; if it, or the note of its folders, is refused, only this job fails."""
        self._rules, self._minutes = set(job.rules), job.resources.get("runtime")
        try:
            folders.note(job, self.workflow.storage_settings.default_storage_prefix)
            super().run_job(job)
        except (_RequestRefused, folders.NoteFailed) as error:
            self.report_job_error(SubmittedJobInfo(job=job), msg=f"{error} ")

    def _create_secret(self, create: Callable[..., Any], namespace: str, body: Any) -> Any:
        """Create the Secret; replace one that an earlier driver of this run, or a request with a lost answer, made."""
        try:
            return create(namespace, body)
        except ApiException as error:
            if error.status != 409:
                raise
        self.kubeapi.delete_namespaced_secret(body.metadata.name, namespace)
        raise TemporarilyUnavailable(f"removed the Secret {body.metadata.name} of an earlier driver; creating it again")

    def _create_job(self, create: Callable[..., Any], namespace: str, body: Any) -> Any:
        """Create a Job; if it exists because the answer to an earlier request was lost, return that one."""
        body.metadata.annotations = body.metadata.annotations or {REQUEST: str(uuid.uuid4())}
        name = body.metadata.name
        self._made.add(name)
        try:
            return create(namespace, self._adapted(body))
        except ApiException as error:
            if not transient(error) and error.status != 409:
                self._made.discard(name)
            if error.status != 409:
                raise
        try:
            existing = self.batchapi.read_namespaced_job_status(name, namespace)
        except ApiException as error:
            raise (TemporarilyUnavailable(f"job {name} was just removed") if error.status == 404 else error) from error
        if (existing.metadata.annotations or {}).get(REQUEST) == body.metadata.annotations[REQUEST]:
            return existing
        if existing.metadata.deletion_timestamp is None:
            self.batchapi.delete_namespaced_job(name, namespace, propagation_policy="Foreground")
        raise TemporarilyUnavailable(f"job {name} of an earlier driver is still being deleted")

    def _adapted(self, body: Any) -> Any:
        """Return a changed copy of a Job, the same each time, as the request may have to be repeated."""
        body = deepcopy(body)
        settings = self.workflow.executor_settings
        template = body.spec.template
        container = template.spec.containers[0]
        self._owned(body)
        template.metadata = client.V1ObjectMeta(labels=dict(body.metadata.labels))
        body.spec.ttl_seconds_after_finished = 60 * settings.ttl_minutes
        replace_lost_pods(body.spec)
        if self._minutes is not None:
            template.spec.active_deadline_seconds = 60 * self._minutes
        if SharedFSUsage.INPUT_OUTPUT in self.workflow.storage_settings.shared_fs_usage:
            # Where the driver is, which is on a claim that both mount.
            container.working_dir = str(Path.cwd())
            container.volume_mounts = [mount for mount in container.volume_mounts if mount.name != "workdir"]
            template.spec.volumes = [volume for volume in template.spec.volumes if volume.name != "workdir"]
        rename_claims(template.spec)
        for toleration in template.spec.tolerations or []:
            toleration.operator, toleration.value = "Exists", None  # the official one knows one provider's taint
        restrict(template.spec, settings.user)
        if secret := os.environ.get("REGISTRY_SECRET"):
            mount_login(template.spec, secret, self._rules)
        return body

    def _owned(self, body: Any) -> Any:
        """Make the driver pod, known by the downward API, the owner of an object, and label it with the run's name."""
        body.metadata.labels = {**(body.metadata.labels or {}), "app": "tator-detection"}
        if os.environ.get("RUN_NAME"):
            body.metadata.labels[RUN_LABEL] = os.environ["RUN_NAME"]
        if os.environ.get("POD_UID"):
            owner = {"api_version": "v1", "kind": "Pod", "name": os.environ["POD_NAME"], "uid": os.environ["POD_UID"]}
            body.metadata.owner_references = [client.V1OwnerReference(**owner)]
        return body

    async def check_active_jobs(self, active_jobs: list[SubmittedJobInfo]) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Report the jobs that have ended, and yield the others."""
        silent = False  # no answer came in this round: the other jobs are read in the next one
        for info in active_jobs:
            if silent or self._stopping.is_set():
                yield info
                continue
            async with self.status_rate_limiter:
                try:
                    state = self._state(info.external_jobid)
                except (ApiException, HTTPError) as error:
                    self._unanswered(info.external_jobid, error)
                    silent = isinstance(error, HTTPError)
                    yield info
                    continue
            self._answered = time.monotonic()
            match state:
                case Running() | Pending():
                    yield info
                case Ended(succeeded=True):
                    self._forget_folders(info.job)
                    self.report_job_success(info)
                    self._delete(info.external_jobid)
                case Ended(reason=reason, pod=pod):
                    logs, last_lines = self._keep_log(info.external_jobid, pod)
                    self.report_job_error(info, msg=f"{info.external_jobid}: {reason}. {last_lines}", aux_logs=logs)
                    self._delete(info.external_jobid)

    def _forget_folders(self, job: Any) -> None:
        """Remove the notes of a job's folders; if that fails, only a new driver makes them again; the run continues."""
        try:
            folders.forget(job, self.workflow.storage_settings.default_storage_prefix)
        except folders.NoteFailed as error:
            self.logger.warning(f"A folder stays noted as unfinished: {error}")

    def _unanswered(self, name: str, error: Exception) -> None:
        """Log that a job's state could not be read; raise WorkflowError if that error is permanent or lasts."""
        if not transient(error):
            raise WorkflowError(f"the state of job {name} cannot be read", error) from error
        minutes = (time.monotonic() - self._answered) / 60
        if 60 * minutes > max(self._patience, SHORT_SECONDS):
            raise WorkflowError(f"no job's state could be read for {minutes:.0f} minutes: {brief(error)}")
        self._warn(f"Job {name}: requesting its state again: {brief(error)}", brief(error))

    def _state(self, name: str) -> Running | Pending | Ended:
        try:
            job = self.batchapi.read_namespaced_job_status(name, self.namespace)
        except ApiException as error:
            if error.status == 404:
                return Ended(False, "somebody deleted it")
            raise
        pods = self.kubeapi.list_namespaced_pod(self.namespace, label_selector=f"job-name={name}").items
        state = job_state(job, pods)
        for pod in pods:
            if not isinstance(state, Ended) and (loss := lost(pod)):
                text = f"Job {name}: its pod {pod.metadata.name} was lost ({loss}); Kubernetes replaces it"
                self._warn(text, pod.metadata.name)
        if not isinstance(state, Pending):
            self._pending_since.pop(name, None)
            return state
        seconds = time.monotonic() - self._pending_since.setdefault(name, time.monotonic())
        reason = state.reason or refusal(self.kubeapi, self.namespace, job) or "it has no pod"
        if seconds >= LOG_SECONDS:
            self._warn(f"Job {name} waits for its pod: {reason}", reason)
        if seconds >= self._patience:
            return Ended(False, f"its pod could not be started for {seconds / 60:.0f} minutes: {reason}")
        if seconds >= REFUSED_SECONDS and not state.reason and refuses_for_good(reason):
            return Ended(False, f"its pod is refused, and waiting would not help: {reason}")
        return state

    def _keep_log(self, name: str, pod: str | None) -> tuple[list[str], str]:
        """Write a failed job's log, if there is one, to a file; return the file and the last lines."""
        if pod is None:
            return [], ""
        read = partial(self.kubeapi.read_namespaced_pod_log, pod, self.namespace, container=CONTAINER)
        try:
            text = self._kubernetes_retry(read, SHORT_SECONDS) or ""
        except WorkflowError as error:
            text = f"(no log: {error})"
        path = self.log_path / f"{name}.log"
        path.write_text(text, encoding="utf-8")
        return [str(path)], "\n".join(["The pod's last lines:", *text.splitlines()[-LAST_LINES:], ""])

    def _delete(self, name: str) -> None:
        """Delete a finished Job; if that fails, its time to live removes it, and the run continues."""
        self._pending_since.pop(name, None)
        self._made.discard(name)
        if self.workflow.executor_settings.omit_job_cleanup:
            return
        try:
            self._kubernetes_retry(partial(self.safe_delete_job, name), SHORT_SECONDS)
        except WorkflowError as error:
            self.logger.warning(f"Job {name} stays until its time to live is over: {error}")

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Note which jobs `shutdown` deletes as the run ends; from now on there is little time for requests."""
        self._stopping.set()
        self._made.update(info.external_jobid for info in active_jobs)

    def shutdown(self) -> None:
        """Delete the remaining Jobs and the Secret."""
        if self._made:
            self._stopping.set()
        for name in sorted(self._made):
            self._delete(name)
        super().shutdown()

    def unregister_secret(self) -> None:
        """Delete the Secret; if that fails, it is deleted together with the driver's pod, and the run continues."""
        delete = partial(self.kubeapi.delete_namespaced_secret, self.run_namespace, self.namespace)
        try:
            self._kubernetes_retry(delete, SHORT_SECONDS)
        except WorkflowError as error:
            self.logger.warning(f"Secret {self.run_namespace} was not removed: {error}")

    def _kubernetes_retry(self, func: Callable[[], Any], seconds: float | None = None) -> Any:
        """Make a request, retried after temporary errors, for some seconds or `pending_minutes`."""

        def locked() -> Any:
            with self.lock:
                return func()

        def left() -> float:
            return STOPPING_SECONDS if self._stopping.is_set() else self._patience if seconds is None else seconds

        def pause(duration: float) -> None:
            if self._stopping.is_set():
                time.sleep(duration)
            else:
                self._stopping.wait(duration)

        try:
            return retry_request(locked, seconds=left, log=self.logger.warning, sleep=pause)
        except Refused as error:
            raise _RequestRefused(str(error)) from error
        except RetryTimeout as error:
            raise WorkflowError(str(error)) from error


class _RequestRefused(WorkflowError):
    """A request that Kubernetes will always refuse."""
