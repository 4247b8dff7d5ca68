"""Checks of the API server before it accepts an object."""

import base64
import binascii
import re
from decimal import Decimal
from typing import Any

import kubernetes_validate

from .errors import forbidden, invalid

VERSION = "1.33"
_UNITS = {"": 1, "m": Decimal("0.001"), "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_NAME = re.compile(rf"{_LABEL.pattern}(\.{_LABEL.pattern})*")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_PORT = re.compile(r"(?!.*--)(?=.*[a-z])[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SECRET_BYTES = 1 << 20


def quantity(text: object) -> Decimal:
    """Return the value of a quantity such as 500m or 2Gi, in units, bytes or cores."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([mkMGT]|[KMGT]i)?", str(text))
    if not found:
        raise invalid(f"quantities must match the regular expression: {text!r}")
    return Decimal(found[1]) * _UNITS[found[2] or ""]


def check(body: dict[str, Any], restricted: bool) -> None:
    """Refuse an object that a cluster would refuse.

    Args:
        body: the object as sent, with apiVersion and kind.
        restricted: whether its namespace requires the Pod Security Standard "restricted".
    """
    try:
        kubernetes_validate.validate(body, VERSION, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        pass  # a custom resource
    except kubernetes_validate.ValidationError as error:
        raise invalid(f"{body['kind']}: {error.message} at {list(error.path)}") from None
    check_name(body["metadata"]["name"], 63 if body["kind"] == "Job" else 253)
    _check_metadata(body["metadata"])
    if body["kind"] == "Secret":
        _check_secret(body)
    if body["kind"] == "Job":
        spec = body["spec"]["template"]["spec"]
        _check_metadata(body["spec"]["template"].get("metadata") or {})
        if spec.get("restartPolicy") not in ("Never", "OnFailure"):
            raise invalid("spec.template.spec.restartPolicy: Required value: valid values: OnFailure, Never")
        _check_pod(spec)
    if body["kind"] == "Pod":
        _check_pod(body["spec"])
        if restricted and (problems := violations(body["spec"])):
            raise forbidden(f'violates PodSecurity "restricted:latest": {", ".join(problems)}')


def check_name(name: str, longest: int = 253) -> None:
    """Refuse the name of an object that is not a DNS-1123 subdomain."""
    _require(_NAME, name, longest, "metadata.name: a lowercase RFC 1123 subdomain")


def _require(pattern: "re.Pattern[str]", text: str, longest: int, place: str) -> None:
    if not pattern.fullmatch(text):
        raise invalid(f"{place}: Invalid value: {text!r}: must match {pattern.pattern}")
    if len(text) > longest:
        raise invalid(f"{place}: Invalid value: {text!r}: must be no more than {longest} characters")


def _check_metadata(metadata: dict[str, Any]) -> None:
    """Refuse invalid keys of labels and annotations, and invalid values of labels."""
    labels = metadata.get("labels") or {}
    for key in [*labels, *(metadata.get("annotations") or {})]:
        prefix, slash, name = key.rpartition("/")
        if slash:
            _require(_NAME, prefix, 253, "metadata: prefix part of a key")
        _require(_QUALIFIED, name, 63, "metadata: name part of a key")
    for value in filter(None, labels.values()):
        _require(_QUALIFIED, value, 63, "metadata.labels")


def _check_secret(body: dict[str, Any]) -> None:
    size = 0
    for key, value in (body.get("data") or {}).items():
        if not re.fullmatch(r"[-._a-zA-Z0-9]+", key):
            raise invalid(f"data[{key}]: Invalid value")
        try:
            size += len(base64.b64decode(value, validate=True))
        except binascii.Error:
            raise invalid(f"data[{key}]: illegal base64 data") from None
    if size > SECRET_BYTES:
        raise invalid(f"data: Too long: must have at most {SECRET_BYTES} bytes")


def _check_pod(spec: dict[str, Any]) -> None:
    volumes = [volume["name"] for volume in spec.get("volumes") or []]
    for name in volumes:
        _require(_LABEL, name, 63, "spec.volumes.name")
    _require_unique(volumes, "spec.volumes.name")
    _require_unique([container["name"] for container in spec["containers"]], "spec.containers.name")
    for container in spec["containers"]:
        _check_container(container, volumes)


def _check_container(container: dict[str, Any], volumes: list[str]) -> None:
    _require(_LABEL, container["name"], 63, "spec.containers.name")
    # Without RelaxedEnvironmentVariableValidation, which older clusters do not have.
    for variable in container.get("env") or []:
        _require(_VARIABLE, variable["name"], 1 << 20, "spec.containers.env.name")
    ports = [port["name"] for port in container.get("ports") or [] if "name" in port]
    for port in ports:
        _require(_PORT, port, 15, "spec.containers.ports.name")
    _require_unique(ports, "spec.containers.ports.name")
    mounts = container.get("volumeMounts") or []
    for mount in mounts:
        if mount["name"] not in volumes:
            raise invalid(f'volumeMounts: Not found: "{mount["name"]}"')
    _require_unique([mount["mountPath"] for mount in mounts], "volumeMounts.mountPath")
    resources = container.get("resources") or {}
    _check_resources(resources.get("requests") or {}, resources.get("limits") or {})


def _require_unique(values: list[str], place: str) -> None:
    if len(values) != len(set(values)):
        raise invalid(f"{place}: Duplicate value: must be unique")


def _check_resources(requests: dict[str, Any], limits: dict[str, Any]) -> None:
    for name, value in {**limits, **requests}.items():
        if "/" in name and quantity(value) % 1:
            raise invalid(f"{name}: must be an integer")
    for name, value in requests.items():
        if name in limits and quantity(value) > quantity(limits[name]):
            raise invalid(f"resources.requests: must be less than or equal to {name} limit")
        if "/" in name and (name not in limits or quantity(limits[name]) != quantity(value)):
            raise invalid(f"resources.limits: Limit must be set for non overcommitable resources ({name})")


def violations(spec: dict[str, Any]) -> list[str]:
    """Return the violations of the Pod Security Standard "restricted" by a pod."""
    pod = spec.get("securityContext") or {}
    problems = [
        f"restricted volume type: {volume['name']}"
        for volume in spec.get("volumes") or []
        if not set(volume) & {"emptyDir", "persistentVolumeClaim", "secret", "configMap", "projected", "downwardAPI"}
    ]
    problems += [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    for container in spec["containers"]:
        own = {**pod, **(container.get("securityContext") or {})}
        if own.get("privileged"):
            problems.append("privileged")
        if own.get("allowPrivilegeEscalation") is not False:
            problems.append("allowPrivilegeEscalation != false")
        if "ALL" not in (own.get("capabilities") or {}).get("drop", []):
            problems.append("unrestricted capabilities")
        if own.get("runAsNonRoot") is not True or own.get("runAsUser") == 0:
            problems.append("runAsNonRoot != true")
        if (own.get("seccompProfile") or {}).get("type") not in ("RuntimeDefault", "Localhost"):
            problems.append("seccompProfile")
    return problems
