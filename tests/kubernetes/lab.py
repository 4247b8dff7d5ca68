"""A cluster and a Tator site for these tests: starting drivers, and the outcome of runs."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tator
import yaml

from tests.kube_server.cluster import WAIT_SECONDS, Cluster
from tests.kube_server.rbac import service_account
from tests.kube_server.sandbox import Image
from tests.kube_server.scheduler import Node
from tests.tator_server.launch import Server
from tests.workflow import ROOT

IMAGE = "registry.example.org/tator-detection:1.0.0"
DRIVER, JOB = "tator-detection-driver", "tator-detection-job"
GPU_NODE = Node(
    "gpu-1",
    {"cpu": "16", "memory": "64Gi", "ephemeral-storage": "1Ti", "nvidia.com/gpu": "2"},
    taints=[{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}],
)
RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}

WHO = [
    {"name": name, "valueFrom": {"fieldRef": {"fieldPath": f"metadata.{field}"}}}
    for name, field in (("POD_NAME", "name"), ("POD_UID", "uid"), ("POD_NAMESPACE", "namespace"))
]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run: its boxes in Tator, the marked media, its table."""

    boxes: str
    marked: tuple[int, ...]
    table: bytes


def outcome(server: Server, table: Path) -> Outcome:
    """Return the outcome of a run, without values that differ between servers."""
    api = tator.get_api(server.host, server.token)
    drop = {"id", "created_datetime", "modified_datetime"}
    found = api.get_localization_list(server.project_id, show_deleted=1)
    boxes = [{key: value for key, value in box.items() if key not in drop} for box in found]
    boxes.sort(key=lambda box: (box["media"], box["frame"], box["elemental_id"]))
    media = api.get_media_list(server.project_id)
    marked = [one["id"] for one in media if one["attributes"].get("Object Detector Processed") not in (None, "", "No")]
    return Outcome(json.dumps(boxes, sort_keys=True), tuple(sorted(marked)), table.read_bytes())


def documents(*paths: str) -> list[dict[str, Any]]:
    """Return the YAML documents of files of this repository."""
    return [item for path in paths for item in yaml.safe_load_all((ROOT / path).read_text()) if item]


def applied(folder: str) -> list[dict[str, Any]]:
    """Return the objects that `kubectl apply -k FOLDER` sends."""
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run([kubectl, "kustomize", folder], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return list(yaml.safe_load_all(done.stdout))


class Lab:
    """A cluster, a Tator site, and the claim `work`."""

    def __init__(
        self, server: Server, folder: Path, images: dict[str, Image], data_image: str, **settings: Any
    ) -> None:
        self.server, self.work, self.data_image = server, folder / "work", data_image
        self.work.mkdir()
        manifests = documents("deploy/argo/base/accounts.yaml", "deploy/argo/base/role.yaml")
        claims = {"work": self.work}
        options = {"nodes": [Node(), GPU_NODE], "claims": claims, "manifests": manifests, **settings}
        self.cluster = Cluster(folder / "cluster", images=images, **options)

    def environment(self) -> dict[str, str]:
        """Return the variables that Tator and the manifests set for a driver."""
        settings = {"data_image": self.data_image, "img_max_side": 320, "img_min_side": 180}
        return {
            "TATOR_API_SERVICE": f"{self.server.host}/rest",
            "TATOR_AUTH_TOKEN": self.server.token,
            "TATOR_MEDIA_IDS": ",".join(map(str, self.server.media)),
            "TATOR_PROJECT_ID": str(self.server.project_id),
            "TATOR_PIPELINE_ARGS": json.dumps({**settings, "type_id": self.server.localization_type_id}),
        }

    def parameters(self) -> dict[str, str]:
        """Return the parameters of a launch: those of Tator, and those that a registration sets."""
        env = self.environment()
        return {
            "name": "Detect fish in the benthic survey",  # long enough for a workflow's longest name
            "media_ids": env["TATOR_MEDIA_IDS"],
            "gid": "g",
            "uid": "u",
            "host": self.server.host,
            "rest_url": env["TATOR_API_SERVICE"],
            "rest_token": env["TATOR_AUTH_TOKEN"],
            "tus_url": f"{self.server.host}/files/",
            "project_id": env["TATOR_PROJECT_ID"],
            "image": IMAGE,
            "pipeline_args": env["TATOR_PIPELINE_ARGS"],
        }

    def pod(self, command: str, env: dict[str, str], **spec: Any) -> str:
        """Start a driver pod with a shell command and the claim at /work; return its name."""
        container = {
            "name": "main",
            "image": IMAGE,
            "command": ["/bin/sh", "-ec", command],
            "env": [*({"name": name, "value": value} for name, value in env.items()), *WHO],
            "volumeMounts": [{"name": "work", "mountPath": "/work"}],
            "securityContext": RESTRICTED,
        }
        volumes = [{"name": "work", "persistentVolumeClaim": {"claimName": "work"}}]
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"generateName": "driver-"},
            "spec": {
                "serviceAccountName": DRIVER,
                "restartPolicy": "Never",
                "containers": [container],
                "volumes": volumes,
                **spec,
            },
        }
        name: str = self.cluster.create("pods", self.cluster.namespace, body)["metadata"]["name"]
        return name

    def phase(self, name: str) -> str:
        """Return a pod's phase; Gone for a removed pod."""
        for pod in self.cluster.find("pods"):
            if pod["metadata"]["name"] == name:
                return str(pod["status"]["phase"])
        return "Gone"

    def running(self, rule: str) -> list[dict[str, Any]]:
        """Return the live pods of a rule's jobs."""
        found = self.cluster.find("pods", app="tator-detection")
        return [pod for pod in found if f"{rule}:" in str(pod["spec"]) and pod["status"]["phase"] == "Running"]

    def ended(self, name: str, seconds: float = WAIT_SECONDS) -> str:
        """Wait for a pod's end, and return its phase."""
        self.cluster.wait_until(lambda: self.phase(name) not in ("Pending", "Running"), seconds)
        return self.phase(name)

    def outcome(self, folder: Path) -> Outcome:
        """Return the outcome of a run in a folder."""
        return outcome(self.server, folder / "results" / "detections.csv")

    def rights_used(self) -> set[tuple[str, str]]:
        """Return resource and verb of all successful requests of drivers."""
        user = service_account(self.cluster.namespace, DRIVER)
        done = [one for one in self.cluster.requests if one["user"] == user and one["status"] in (200, 201)]
        return {(one["resource"], one["verb"]) for one in done}
