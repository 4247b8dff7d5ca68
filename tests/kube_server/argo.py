"""The parts of Argo that the manifests use: parameters, a claim for each run, retries of the entry point, exit handler.

Parameters that Tator adds at launch are appended to those that the manifest declares.
"""

import copy
import json
import re
import uuid
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

from scripts.lib.registering.manifest import TATOR_PARAMETERS

from .argo_crd import check_workflow
from .cluster import WAIT_SECONDS, Cluster
from .validation import check_name

# Exit codes after which the manifests' retry expression does not start a workflow again; a test compares them.
ENDED_BY_ITSELF = {0, 1, 2}
_PLACE = re.compile(r"\{\{([^{}]+)\}\}")


@dataclass
class Run:
    """A submitted workflow; `join` waits for its end and returns its phase."""

    cluster: Cluster
    workflow: dict[str, Any]
    name: str
    pods: list[str] = field(default_factory=list)
    phase: str = "Running"
    _stopped: Event = field(default_factory=Event)
    _thread: Thread | None = None

    def join(self, seconds: float = WAIT_SECONDS) -> str:
        if self._thread is None:
            raise RuntimeError("not started")
        self._thread.join(seconds)
        if self._thread.is_alive():
            raise TimeoutError(f"{self.name} still runs; log:\n{self.log()}")
        return self.phase

    def log(self) -> str:
        return "\n".join(f"--- {pod}\n{self.cluster.pod_log(pod)}" for pod in self.pods)

    def stop(self) -> None:
        """End the workflow as `shutdown: Stop` does: end its pods, then run the exit handler."""
        self._stopped.set()
        for pod in self._live():
            self.cluster.drain(pod, grace=30)

    def _live(self) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.cluster.find("pods", **{LABEL: self.name})]

    def start(self, values: dict[str, str]) -> None:
        self._thread = Thread(target=self._work, args=[values], daemon=True)
        self._thread.start()

    def _work(self, values: dict[str, str]) -> None:
        spec = self.workflow["spec"]
        templates = {template["name"]: template for template in spec["templates"]}
        template = templates[spec["entrypoint"]]
        for attempt in range(1 + int(template.get("retryStrategy", {}).get("limit", 0))):
            self.phase, code = self._step(template, values, attempt)
            if self._stopped.is_set() or self.phase == "Succeeded" or code in ENDED_BY_ITSELF:
                break
        values["workflow.status"] = "Failed" if self.phase == "Error" else self.phase
        self._step(templates[spec["onExit"]], values, 0)
        for claim in spec.get("volumeClaimTemplates", []):
            self.cluster.claims.pop(f"{self.name}-{claim['metadata']['name']}")

    def _step(self, template: dict[str, Any], values: dict[str, str], attempt: int) -> tuple[str, int | None]:
        """Run a template's pod; return its phase (Error if the pod was removed) and its exit code."""
        spec = substitute({**self.workflow["spec"], "templates": [template]}, values)
        (template,) = spec["templates"]
        volumes = copy.deepcopy(spec.get("volumes", []))
        for claim in spec.get("volumeClaimTemplates", []):
            name = claim["metadata"]["name"]
            volumes.append({"name": name, "persistentVolumeClaim": {"claimName": f"{self.name}-{name}"}})
        pod = {
            "restartPolicy": "Never",
            "serviceAccountName": spec["serviceAccountName"],
            "securityContext": spec.get("securityContext", {}),
            "volumes": volumes,
            "containers": [{"name": "main", **template["container"]}],
            **json.loads(template.get("podSpecPatch", "{}")),
            **({"tolerations": template["tolerations"]} if "tolerations" in template else {}),
        }
        name = f"{self.name}-{template['name']}-{attempt}"
        metadata = {"name": name, "labels": {LABEL: self.name, **template.get("metadata", {}).get("labels", {})}}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}
        self.cluster.create("pods", self.cluster.namespace, body)
        self.pods.append(name)
        last: dict[str, Any] = {}

        def ended() -> bool:
            found = [one for one in self.cluster.find("pods", **{LABEL: self.name}) if one["metadata"]["name"] == name]
            last.update(found[0]["status"] if found else {"phase": "Error"})
            return last["phase"] not in ("Pending", "Running")

        self.cluster.wait_until(ended)
        states = last.get("containerStatuses") or [{}]
        code = states[0].get("state", {}).get("terminated", {}).get("exitCode")
        return last["phase"], None if last["phase"] == "Error" else code


LABEL = "workflows.argoproj.io/workflow"


def submit(cluster: Cluster, manifest: dict[str, Any], parameters: dict[str, str]) -> Run:
    """Start a workflow as Tator does, with its parameters.

    Raises:
        ApiError: when Argo's full CRDs refuse it.
    """
    workflow = copy.deepcopy(manifest)
    workflow["metadata"]["generateName"] = generate_name(12, parameters["project_id"], 56, parameters["name"])
    check_workflow(workflow)
    name = f"{workflow['metadata']['generateName']}{uuid.uuid4().hex[:5]}"
    check_name(name)
    declared = {one["name"]: str(one["value"]) for one in workflow["spec"].get("arguments", {}).get("parameters", [])}
    if clash := declared.keys() & set(TATOR_PARAMETERS):
        raise ValueError(f"Tator adds these itself: {clash}")
    values = {f"workflow.parameters.{key}": value for key, value in {**declared, **parameters}.items()}
    values |= {"workflow.name": name, "workflow.namespace": cluster.namespace, "workflow.uid": str(uuid.uuid4())}
    for claim in workflow["spec"].get("volumeClaimTemplates", []):
        full = f"{name}-{claim['metadata']['name']}"
        cluster.claims[full] = cluster.folder / "claims" / full
        cluster.claims[full].mkdir(parents=True)
    run = Run(cluster, workflow, name)
    run.start(values)
    return run


def generate_name(algorithm: int, project: int | str, user: int, name: str) -> str:
    """Return the beginning of a workflow's name as Tator makes it of an algorithm's name: at most 56 characters."""
    words = re.sub("[^0-9a-zA-Z.]+", "-", name).lower()
    return f"alg-{algorithm}-proj-{project}-usr-{user}-name-{words}"[:55].rstrip("-.") + "-"


def substitute(node: Any, values: dict[str, str]) -> Any:
    """Replace {{...}} as Argo does; an unknown name is an error, as in Argo."""

    def value(found: "re.Match[str]") -> str:
        return "".join(map(_as_go_quotes, values[found[1].strip()]))

    return json.loads(_PLACE.sub(value, json.dumps(node)))


def _as_go_quotes(character: str) -> str:
    """Return a character as Go's strconv.Quote writes it, also where JSON does not know that."""
    number = ord(character)
    if escaped := {'"': '\\"', "\\": "\\\\", "\a": "\\a", "\v": "\\v"}.get(character):
        return escaped
    if character in "\b\f\n\r\t":
        return json.dumps(character)[1:-1]
    if number < 0x20 or number == 0x7F:
        return f"\\x{number:02x}"
    if character.isprintable():
        return character
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
