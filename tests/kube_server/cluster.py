"""The cluster: its objects, controllers and nodes, and methods for tests."""

import copy
import time
import uuid
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from threading import Event, RLock, Thread
from types import TracebackType
from typing import Any, Self

import yaml

from tests.docker_engine import self_signed

from .api import serve
from .errors import ApiError, forbidden, invalid
from .jobs import JobController
from .kubelet import Kubelet
from .objects import GROUP_VERSIONS, KINDS, Object, Objects, now, selected, with_fields
from .quotas import Limits
from .rbac import Rbac, service_account
from .sandbox import Image
from .scheduler import Node, place
from .validation import check

TICK_SECONDS = 0.05
# No step takes longer, even on a busy machine, unless it hangs.
WAIT_SECONDS = 600.0
DISRUPTED = {"type": "DisruptionTarget", "status": "True"}
DEFAULT_ACCOUNT = {"kind": "ServiceAccount", "metadata": {"name": "default"}}


class Cluster:
    """A running cluster.

    Attributes:
        requests: method, path, user, verb, group, resource, name and status of each request.
        created: each object as it was sent, by plural.
        refused: messages of pods of Jobs that could not be made.
        faults: called with a request before it is carried out; may raise ApiError, or wait.
        claims: the folder of each bound claim.
        limits: quotas of the namespace, and limits of containers.
        sidecar: a container that is added to each pod of a Job.
        end_reasons: reasons reported for exit codes in place of "Error", such as OOMKilled for 137.
        deletion_seconds: time for which finalizers keep a deleted Job.
        minute: seconds that count as a minute of a pod's activeDeadlineSeconds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        images: dict[str, Image],
        manifests: list[dict[str, Any]],
        nodes: list[Node] | None = None,
        claims: dict[str, Path] | None = None,
        namespace: str = "default",
        restricted: bool = True,
    ) -> None:
        folder.mkdir(parents=True)
        self.folder, self.images, self.namespace, self.restricted = folder, images, namespace, restricted
        self.nodes, self.claims = nodes or [Node()], claims or {}
        self.rbac = Rbac([DEFAULT_ACCOUNT, *manifests], namespace)
        self.lock = RLock()
        self.requests: list[dict[str, Any]] = []
        self.created: dict[str, list[Object]] = {plural: [] for _, plural in KINDS}
        self.refused: list[str] = []
        self.faults: list[Callable[[dict[str, Any]], None]] = []
        self.objects = Objects(self._removed)
        self._jobs = JobController(self.objects, self.delete, self._create_pod)
        self.limits = Limits()
        self.sidecar: Object | None = None
        self.end_reasons: dict[int, str] = {}
        self.deletion_seconds = 0.0
        self.minute = 60.0
        self._kubelets: dict[str, Kubelet] = {}
        self._over = Event()
        self.certificate, self._key = self_signed(folder)

    def __enter__(self) -> Self:
        self._server = serve(self, self.certificate, self._key)
        self._controllers = Thread(target=self._control, daemon=True)
        self._controllers.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._controllers.join()
        with self.lock:
            for pod in self.objects.find("pods"):
                self.delete("pods", pod, grace=0)
        for kubelet in self._kubelets.values():
            kubelet.join(30)
        self._server.shutdown()
        self._server.server_close()

    # The API server.

    def create(self, plural: str, namespace: str, body: Object) -> Object:
        if namespace != self.namespace:
            raise ApiError(404, "NotFound", f'namespaces "{namespace}" not found')
        body = copy.deepcopy(body)
        metadata = body.setdefault("metadata", {})
        if "name" not in metadata and "generateName" in metadata:
            metadata["name"] = f"{metadata['generateName']}{uuid.uuid4().hex[:5]}"
        check(body, self.restricted)
        if (
            plural == "pods"
            and (namespace, body["spec"].get("serviceAccountName") or "default") not in self.rbac.accounts
        ):
            raise forbidden(f"error looking up service account {namespace}/{body['spec']['serviceAccountName']}")
        if len(str(body)) > 1_500_000:
            raise invalid("etcdserver: request is too large")
        with self.lock:  # tests create objects too
            self.limits.check(plural, body, self.objects)
            sent = copy.deepcopy(body)
            if plural in ("pods", "jobs"):
                body["status"] = {"phase": "Pending"} if plural == "pods" else {}
            made = self.objects.add(plural, namespace, body)
            self.created[plural].append(sent)
            return copy.deepcopy(made)

    def listed(self, plural: str, namespace: str, selector: str, fields: str = "") -> Object:
        group = next(group for group, known in KINDS if known == plural)
        items = selected(with_fields(self.objects.find(plural, namespace), fields), selector)
        return {
            "kind": f"{KINDS[group, plural]}List",
            "apiVersion": GROUP_VERSIONS[group],
            "metadata": {},
            "items": items,
        }

    def delete(self, plural: str, item: Object, propagation: str = "Background", grace: float | None = None) -> Object:
        metadata = item["metadata"]
        if plural == "pods" and item["spec"].get("nodeName") and item["status"]["phase"] in ("Pending", "Running"):
            metadata.setdefault("deletionTimestamp", now())
            if grace is not None:
                metadata["deletionGracePeriodSeconds"] = grace
        elif plural == "jobs" and (propagation == "Foreground" or self.deletion_seconds):
            metadata.setdefault("deletionTimestamp", now())
            for kind, one in list(self.objects.dependents(item)):
                self.delete(kind, one)
        else:
            if propagation == "Orphan":
                for _, one in list(self.objects.dependents(item)):
                    one["metadata"].pop("ownerReferences")
            self.objects.remove(item)
        return {"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}}

    def log(self, pod: Object, query: dict[str, str]) -> str:
        """Return a container's log, or the error of a kubelet if there is none."""
        name, containers = pod["metadata"]["name"], pod["spec"]["containers"]
        if "container" not in query and len(containers) > 1:
            names = " ".join(one["name"] for one in containers)
            message = f"a container name must be specified for pod {name}, choose one of: [{names}]"
            raise ApiError(400, "BadRequest", message)
        container = query.get("container", containers[0]["name"])
        if container not in [one["name"] for one in pod["spec"]["containers"]]:
            raise ApiError(400, "BadRequest", f"container {container} is not valid for pod {name}")
        if query.get("previous", "").lower() in ("true", "1"):
            message = f'previous terminated container "{container}" in pod "{name}" not found'
            raise ApiError(400, "BadRequest", message)
        if pod["status"]["phase"] == "Pending":
            message = f'container "{container}" in pod "{name}" is waiting to start: ContainerCreating'
            raise ApiError(400, "BadRequest", message)
        return self.pod_log(name)

    # Controllers and nodes.

    def _control(self) -> None:
        while not self._over.wait(TICK_SECONDS):
            with self.lock:
                for plural, orphan in self.objects.orphans():
                    if not orphan["metadata"].get("deletionTimestamp"):
                        self.delete(plural, orphan)
                self._jobs.deletion_seconds = self.deletion_seconds
                self._jobs.tick()
                for pod in self.objects.find("pods"):
                    if not pod["spec"].get("nodeName"):
                        self._schedule(pod)

    def _schedule(self, pod: Object) -> None:
        claims = [
            volume["persistentVolumeClaim"]["claimName"]
            for volume in pod["spec"].get("volumes") or []
            if "persistentVolumeClaim" in volume
        ]
        unbound = [claim for claim in claims if claim not in self.claims]
        live = [one for one in self.objects.find("pods") if one["status"]["phase"] in ("Pending", "Running")]
        node, reason = place(pod, self.nodes, live)
        if unbound:
            node, reason = None, f'persistentvolumeclaim "{unbound[0]}" not found'
        condition = {"type": "PodScheduled", "status": "True" if node else "False"}
        if node is None:
            condition |= {"reason": "Unschedulable", "message": reason}
        pod["status"]["conditions"] = [condition]
        if node is not None:
            pod["spec"]["nodeName"] = node.name
            self._kubelets[pod["metadata"]["name"]] = kubelet = Kubelet(self, pod)
            kubelet.start()

    def _create_pod(self, namespace: str, body: Object) -> None:
        if self.sidecar is not None:
            body["spec"]["containers"].append(copy.deepcopy(self.sidecar))
        try:
            self.create("pods", namespace, body)
        except ApiError as error:  # reported as an event of the Job, and tried again
            self.refused.append(str(error))
            self._failed_create(namespace, body["metadata"]["ownerReferences"][0], f"Error creating: {error}")

    def _failed_create(self, namespace: str, job: Object, message: str) -> None:
        events = self.objects.find("events", namespace)
        if same := [one for one in events if one["involvedObject"]["uid"] == job["uid"]]:
            same[0] |= {"message": message, "lastTimestamp": now(), "count": same[0]["count"] + 1}
            return
        event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{job['name']}.{uuid.uuid4().hex[:8]}"}}
        event |= {"involvedObject": {key: job[key] for key in ("kind", "name", "uid", "apiVersion")}}
        event |= {"reason": "FailedCreate", "type": "Warning", "message": message, "lastTimestamp": now(), "count": 1}
        self.objects.add("events", namespace, event)

    def _removed(self, item: Object) -> None:
        if item["kind"] == "Pod":
            self._jobs.pod_removed(item)

    def service_variables(self) -> dict[str, str]:
        """Return the variables with the API server's address."""
        return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self._server.server_address[1])}

    # For tests.

    def find(self, plural: str, **labels: str) -> list[Object]:
        """Return copies of objects that have all labels."""
        with self.lock:
            return selected(self.objects.find(plural), ",".join(f"{key}={value}" for key, value in labels.items()))

    def pod_log(self, name: str) -> str:
        """Return the log of a pod's container, also of a removed pod."""
        return (self.folder / "logs" / f"{name}.log").read_text(errors="replace")

    def overlapping(self) -> list[str]:
        """Return the commands that two containers ran at the same time."""
        with self.lock:
            kubelets = list(self._kubelets.values())
        lives = sorted((one.command, one.begun, one.ended or time.monotonic()) for one in kubelets)
        return [a[0] for a, b in pairwise(lives) if a[0] == b[0] and a[1] and b[1] < a[2]]

    def begun(self, name: str) -> bool:
        """Return whether a pod's container was started."""
        return name in self._kubelets and self._kubelets[name].begun > 0

    def begun_since(self, name: str) -> float:
        """Return the seconds since a pod's container was started; -1 before."""
        return time.monotonic() - self._kubelets[name].begun if self.begun(name) else -1.0

    def cut_off(self, node: str) -> None:
        """Let a node die but stay registered: its containers end, but its evicted pods never do."""
        with self.lock:
            for pod in [one for one in self.objects.find("pods") if one["spec"].get("nodeName") == node]:
                kubelet = self._kubelets[pod["metadata"]["name"]]
                kubelet.cut_off = True
                kubelet.kill()
                pod["status"]["conditions"] = [*pod["status"].get("conditions", []), DISRUPTED]
                self.delete("pods", pod)
            self.nodes[:] = [one for one in self.nodes if one.name != node]  # nothing is placed there

    def out_of_service(self, node: str) -> None:
        """Remove the pods of a dead node, as the taint node.kubernetes.io/out-of-service does."""
        with self.lock:
            for pod in [one for one in self.objects.find("pods") if one["spec"].get("nodeName") == node]:
                self.objects.remove(pod)

    def reboot(self, name: str, reason: str = "Error") -> None:
        """End a pod as a node that reboots does: its container was killed, or its end was not recorded (Unknown)."""
        with self.lock:
            kubelet = self._kubelets[name]
            kubelet.reboot = reason
            kubelet.kill()

    def rotate_tokens(self, late: float = 0.0) -> None:
        """Let all accounts' tokens expire, and give the pods new ones, which their files have `late` seconds later."""
        with self.lock:
            self.rbac.expire()
        time.sleep(late)
        with self.lock:
            for kubelet in self._kubelets.values():
                kubelet.renew_token()

    def delete_pod(self, name: str) -> None:
        """Delete a pod as a person does: without a condition of a disruption."""
        with self.lock:
            self.delete("pods", self.objects.get("pods", self.namespace, name))

    def exit_code(self, name: str) -> int | None:
        """Return a container's exit code, also of a removed pod; None while it runs."""
        return self._kubelets[name].code

    def drain(self, name: str, grace: float | None = None) -> None:
        """Remove a pod as when its node is drained: SIGTERM, and SIGKILL after `grace` or its own grace period."""
        with self.lock:
            pod = self.objects.get("pods", self.namespace, name)
            pod["status"]["conditions"] = [*pod["status"].get("conditions", []), DISRUPTED]
            self.delete("pods", pod, grace=grace)

    def evict(self, name: str) -> None:
        """End a pod as a node under pressure does: the object stays, failed."""
        with self.lock:
            pod = self.objects.get("pods", self.namespace, name)
            pod["metadata"]["deletionGracePeriodSeconds"] = 0
            pod["status"]["conditions"] = [*pod["status"].get("conditions", []), DISRUPTED]
            pod["status"] |= {"reason": "Evicted", "message": "The node was low on resource"}

    def kubeconfig(self, path: Path, account: str) -> Path:
        """Write a kubeconfig for a service account."""
        url = f"https://127.0.0.1:{self._server.server_address[1]}"
        token = self.rbac.token(service_account(self.namespace, account))
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": url, "certificate-authority": str(self.certificate)}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": self.namespace}}],
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def wait_until(self, condition: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
        """Return the condition's value once it is true.

        Raises:
            TimeoutError: when it is not true after `seconds`.
        """
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not so after {seconds} s; pods: {[p['status'] for p in self.find('pods')]}")
            time.sleep(TICK_SECONDS)
        return found
