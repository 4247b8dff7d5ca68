"""The kubelet: starts and ends a scheduled pod."""

import base64
import subprocess
import time
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from .errors import ApiError
from .objects import Object, now
from .rbac import service_account
from .sandbox import Container, Mount, expand

if TYPE_CHECKING:
    from .cluster import Cluster

ACCOUNT_FOLDER = "/run/secrets/kubernetes.io/serviceaccount"  # /var/run/... for programs
POLL_SECONDS = 0.05
# Time for which the end of a deleted pod's container is visible before the object is removed.
VISIBLE_SECONDS = 1.0


class _Waiting(Exception):
    """A container cannot be started yet: reason and message."""


class Kubelet(Thread):
    """The thread of one pod on its node; `begun` and `ended` are times of its container, in monotonic seconds."""

    def __init__(self, cluster: "Cluster", pod: Object) -> None:
        super().__init__(daemon=True, name=pod["metadata"]["name"])
        self._cluster, self._pod = cluster, pod
        self._container: Container | None = None
        self._account_folder: Path | None = None
        self.begun = self.ended = 0.0
        self.code: int | None = None
        # Set by events of the node: it is cut off and reports nothing; it rebooted, and reports this reason.
        self.cut_off, self.reboot = False, ""

    @property
    def command(self) -> str:
        return str(self._pod["spec"]["containers"][0].get("args"))

    @property
    def log(self) -> Path:
        return self._cluster.folder / "logs" / f"{self.name}.log"

    def run(self) -> None:
        pod, spec = self._pod, self._pod["spec"]["containers"][0]
        status = {"name": spec["name"], "image": spec["image"], "imageID": "", "ready": False, "restartCount": 0}
        status |= {"state": {"waiting": {"reason": "ContainerCreating"}}, "lastState": {}}
        others = [{"name": one["name"], "state": {"running": {}}} for one in self._pod["spec"]["containers"][1:]]
        others = [{**status, "ready": True, **one} for one in others]
        with self._cluster.lock:
            pod["status"]["containerStatuses"] = [status, *others]
        while not self._brought_up(spec, status):
            if pod["metadata"].get("deletionTimestamp"):
                with self._cluster.lock:
                    self._cluster.objects.remove(pod)
                return
            time.sleep(POLL_SECONDS)
        container = self._container
        if container is None:
            raise RuntimeError("a started pod has a container")
        code = self._watch(container)
        self.ended, self.code = time.monotonic(), code
        if self.cut_off:
            return
        with self._cluster.lock:
            ended = {"exitCode": code, "reason": self._cluster.end_reasons.get(code, "Error" if code else "Completed")}
            if self.reboot:
                ended = {"exitCode": 255 if self.reboot == "Unknown" else 137, "reason": self.reboot}
            status |= {"ready": False, "state": {"terminated": {**ended, "finishedAt": now()}}}
            if not others:  # another container runs until the pod is deleted
                pod["status"]["phase"] = "Failed" if code or "reason" in pod["status"] else "Succeeded"
        while others and not pod["metadata"].get("deletionTimestamp"):
            time.sleep(POLL_SECONDS)
        if pod["metadata"].get("deletionTimestamp"):
            pod["status"]["phase"] = "Failed" if code else "Succeeded"
            time.sleep(VISIBLE_SECONDS)
            with self._cluster.lock:
                self._cluster.objects.remove(pod)

    def kill(self) -> None:
        """End the container at once."""
        if self._container is not None:
            self._container.stop(0)

    def _watch(self, container: Container) -> int:
        """Wait for the container's end; end it when its pod is deleted, evicted or too old."""
        deadline = self._pod["spec"].get("activeDeadlineSeconds")
        begun, stopped = time.monotonic(), False
        while True:
            try:
                return container.wait(POLL_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            too_old = deadline is not None and time.monotonic() - begun > deadline * self._cluster.minute / 60
            if too_old:
                message = "Pod was active on the node longer than the specified deadline"
                with self._cluster.lock:
                    self._pod["status"] |= {"reason": "DeadlineExceeded", "message": message}
            deleted = self._pod["metadata"].get("deletionTimestamp") or "reason" in self._pod["status"]
            if deleted and not stopped:
                stopped = True
                grace = self._pod["metadata"].get("deletionGracePeriodSeconds", self.grace)
                Thread(target=container.stop, args=[grace], daemon=True).start()

    @property
    def grace(self) -> float:
        return float(self._pod["spec"].get("terminationGracePeriodSeconds", 30))

    def _brought_up(self, spec: dict[str, Any], status: dict[str, Any]) -> bool:
        with self._cluster.lock:
            if self._pod["metadata"].get("deletionTimestamp"):
                return False
            try:
                image = self._cluster.images.get(spec["image"])
                if image is None:
                    raise _Waiting("ImagePullBackOff", f'Back-off pulling image "{spec["image"]}"')
                mounts = self._mounts(spec)
                env = self._env(spec)
            except _Waiting as waiting:
                status["state"] = {"waiting": {"reason": waiting.args[0], "message": waiting.args[1]}}
                return False
            security = (self._pod["spec"].get("securityContext") or {}) | (spec.get("securityContext") or {})
            if security.get("runAsNonRoot") and security.get("runAsUser", image.user) == 0:
                message = "container has runAsNonRoot and image will run as root"
                status["state"] = {"waiting": {"reason": "CreateContainerConfigError", "message": message}}
                return False
            self.log.parent.mkdir(exist_ok=True)
            with self.log.open("wb") as log:
                self._container = Container(image, spec, security=security, env=env, mounts=mounts, log=log)
            self.begun = time.monotonic()
            status |= {"ready": True, "state": {"running": {"startedAt": now()}}}
            self._pod["status"] |= {"phase": "Running", "startTime": now()}
            return True

    def _env(self, spec: dict[str, Any]) -> dict[str, str]:
        env = {} if not self._has_account() else self._cluster.service_variables()
        for entry in spec.get("env") or []:
            source = entry.get("valueFrom") or {}
            if "fieldRef" in source:
                env[entry["name"]] = str(self._pod["metadata"][source["fieldRef"]["fieldPath"].split(".")[1]])
            elif "secretKeyRef" in source:
                env[entry["name"]] = self._secret(source["secretKeyRef"]["name"], source["secretKeyRef"]["key"])
            else:
                env[entry["name"]] = expand(entry.get("value") or "", env)
        return env

    def _secret(self, name: str, key: str) -> str:
        try:
            data = self._cluster.objects.get("secrets", self._pod["metadata"]["namespace"], name)["data"]
        except ApiError:
            raise _Waiting("CreateContainerConfigError", f'secret "{name}" not found') from None
        if key not in data:
            raise _Waiting("CreateContainerConfigError", f"couldn't find key {key} in Secret {name}")
        return base64.b64decode(data[key]).decode()

    def _mounts(self, spec: dict[str, Any]) -> list[Mount]:
        own = self._cluster.folder / "pods" / self._pod["metadata"]["uid"]
        sources = {}
        for volume in self._pod["spec"].get("volumes") or []:
            if "persistentVolumeClaim" in volume:
                sources[volume["name"]] = self._cluster.claims[volume["persistentVolumeClaim"]["claimName"]]
            elif "emptyDir" in volume:
                sources[volume["name"]] = own / volume["name"]
                sources[volume["name"]].mkdir(parents=True, exist_ok=True)
            elif "secret" in volume:
                sources[volume["name"]] = self._secret_folder(own / volume["name"], volume["secret"])
            else:
                known = "persistentVolumeClaim, emptyDir and secret"
                raise ValueError(f"a volume with {sorted(volume)}; this cluster has {known}")
        mounts = []
        for mount in spec.get("volumeMounts") or []:
            source = sources[mount["name"]] / mount.get("subPath", "")
            source.mkdir(exist_ok=True)
            mounts.append(Mount(source, mount["mountPath"], mount.get("readOnly", False)))
        if self._has_account():
            mounts.append(Mount(self._account(own / "account"), ACCOUNT_FOLDER, True))
        return mounts

    def _secret_folder(self, folder: Path, source: dict[str, Any]) -> Path:
        """Write a Secret's keys as files; an optional Secret that does not exist is an empty folder."""
        folder.mkdir(parents=True, exist_ok=True)
        name, optional = source["secretName"], source.get("optional", False)
        try:
            data = self._cluster.objects.get("secrets", self._pod["metadata"]["namespace"], name)["data"]
        except ApiError:
            if not optional:
                raise _Waiting("ContainerCreating", f'MountVolume.SetUp failed: secret "{name}" not found') from None
            return folder
        for item in source.get("items") or [{"key": key, "path": key} for key in data]:
            if item["key"] in data:
                (folder / item["path"]).write_bytes(base64.b64decode(data[item["key"]]))
            elif not optional:
                raise _Waiting("ContainerCreating", f"references non-existent secret key: {item['key']}")
        return folder

    def _has_account(self) -> bool:
        account = self._cluster.rbac.accounts[self._pod["metadata"]["namespace"], self._account_name()]
        default = account.get("automountServiceAccountToken", True)
        return bool(self._pod["spec"].get("automountServiceAccountToken", default))

    def renew_token(self) -> None:
        """Write the current token of the pod's account into its container's file."""
        if self._account_folder is not None:
            user = service_account(self._pod["metadata"]["namespace"], self._account_name())
            temporary = self._account_folder / "..token"
            temporary.write_text(self._cluster.rbac.token(user))
            temporary.replace(self._account_folder / "token")

    def _account_name(self) -> str:
        return str(self._pod["spec"].get("serviceAccountName") or "default")

    def _account(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        namespace = self._pod["metadata"]["namespace"]
        self._account_folder = folder
        self.renew_token()
        (folder / "namespace").write_text(namespace)
        (folder / "ca.crt").write_bytes(self._cluster.certificate.read_bytes())
        return folder
