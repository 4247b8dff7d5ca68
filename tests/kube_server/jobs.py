"""The Job controller: makes a Job's pods, counts them, and removes finished Jobs past their time to live."""

import time
import uuid
from copy import deepcopy
from typing import Any

from .objects import Object, Objects, now

# When a Job began and ended, by uid, in monotonic seconds.
_Times = dict[str, float]


class JobController:
    """Advances each Job at each `tick`; unlike a cluster's controller, it does not pause between a Job's pods."""

    def __init__(self, objects: Objects, delete: Any, create_pod: Any) -> None:
        self._objects, self._delete, self._create_pod = objects, delete, create_pod
        self._begun: _Times = {}
        self._ended: _Times = {}
        self._deleted: _Times = {}
        self._counted: set[str] = set()
        self.deletion_seconds = 0.0

    def tick(self) -> None:
        for job in self._objects.find("jobs"):
            pods = [item for plural, item in self._objects.dependents(job) if plural == "pods"]
            if job["metadata"].get("deletionTimestamp"):
                # A finalizer keeps it for some time.
                begun = self._deleted.setdefault(job["metadata"]["uid"], time.monotonic())
                if not pods and time.monotonic() - begun >= self.deletion_seconds:
                    self._objects.remove(job)
                continue
            if "conditions" not in job["status"]:
                self._advance(job, pods)
            else:
                self._expire(job)

    def _advance(self, job: Object, pods: list[Object]) -> None:
        status, uid = job["status"], job["metadata"]["uid"]
        begun = self._begun.setdefault(uid, time.monotonic())
        if status.setdefault("startTime", now()) and any(pod["status"]["phase"] == "Succeeded" for pod in pods):
            status.pop("active", None)
            self._end(job, "Complete", "CompletionsReached", succeeded=1)
            return
        failed = status.get("failed", 0) + sum(self._count(job, pod) for pod in pods)
        if failed:
            status["failed"] = failed
        deadline = job["spec"].get("activeDeadlineSeconds")
        if failed > job["spec"].get("backoffLimit", 6):
            self._end(job, "Failed", "BackoffLimitExceeded", failed=failed)
        elif deadline is not None and time.monotonic() - begun > deadline:
            self._end(job, "Failed", "DeadlineExceeded", failed=failed + 1)
            for pod in pods:
                self._delete("pods", pod)
        elif reason := next(filter(None, (self._fails_job(job, pod) for pod in pods)), None):
            self._end(job, "Failed", "PodFailurePolicy", failed=failed)
            job["status"]["conditions"][0]["message"] = reason
        elif alive := [pod for pod in pods if pod["status"]["phase"] in ("Pending", "Running")]:
            # With a pod failure policy, a pod is replaced only after its end.
            if any(pod["metadata"].get("deletionTimestamp") for pod in alive):
                status.pop("active", None)
                status["terminating"] = 1
        else:
            status.pop("terminating", None)
            status["active"] = 1
            self._create_pod(job["metadata"]["namespace"], _pod(job))

    def _end(self, job: Object, kind: str, reason: str, **counts: int) -> None:
        job["status"].pop("active", None)
        job["status"] |= counts
        condition = {"type": kind, "status": "True", "reason": reason, "lastTransitionTime": now()}
        job["status"]["conditions"] = [condition]
        self._ended[job["metadata"]["uid"]] = time.monotonic()

    def _expire(self, job: Object) -> None:
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        if ttl is not None and time.monotonic() - self._ended[job["metadata"]["uid"]] > ttl:
            self._delete("jobs", job)

    def pod_removed(self, pod: Object) -> None:
        """Count a pod that was removed before its end as failed."""
        for job in self._objects.find("jobs", pod["metadata"]["namespace"]):
            owners = pod["metadata"].get("ownerReferences") or []
            if any(ref["uid"] == job["metadata"]["uid"] for ref in owners) and self._count(job, pod):
                job["status"]["failed"] = job["status"].get("failed", 0) + 1

    def _count(self, job: Object, pod: Object) -> bool:
        """Return whether a pod failed and has to be counted, which it was not yet."""
        uid = pod["metadata"]["uid"]
        if pod["status"]["phase"] == "Succeeded" or uid in self._counted:
            return False
        if pod["status"]["phase"] != "Failed" and self._objects.has(pod):
            return False
        self._counted.add(uid)
        return _action(job, pod) != "Ignore"

    def _fails_job(self, job: Object, pod: Object) -> str | None:
        """Return why a pod's end fails the Job, by a rule FailJob; None if it does not."""
        if pod["status"]["phase"] != "Failed" or _action(job, pod) != "FailJob":
            return None
        return f"A container of pod {pod['metadata']['name']} failed with an exit code that matches a FailJob rule"


def _action(job: Object, pod: Object) -> str:
    """Return the action of the first rule of the pod failure policy that a failed pod matches; Count without one."""
    conditions = {one["type"] for one in pod["status"].get("conditions") or [] if one["status"] == "True"}
    for rule in (job["spec"].get("podFailurePolicy") or {}).get("rules") or []:
        if any(one["type"] in conditions for one in rule.get("onPodConditions") or []):
            return str(rule["action"])
        if codes := rule.get("onExitCodes"):
            for status in pod["status"].get("containerStatuses") or []:
                code = status["state"].get("terminated", {}).get("exitCode", 0)
                named = status["name"] == codes.get("containerName", status["name"])
                if named and code and (code in codes["values"]) == (codes["operator"] == "In"):
                    return str(rule["action"])
    return "Count"


def _pod(job: Object) -> Object:
    name, uid = job["metadata"]["name"], job["metadata"]["uid"]
    template = deepcopy(job["spec"]["template"])
    labels = (template.get("metadata") or {}).get("labels") or {}
    labels |= {"job-name": name, "batch.kubernetes.io/job-name": name, "controller-uid": uid}
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid, "controller": True}
    metadata = {"name": f"{name}-{uuid.uuid4().hex[:5]}", "labels": labels, "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
