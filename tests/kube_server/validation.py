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
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
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
    name = body["metadata"]["name"]
    if not _NAME.fullmatch(name) or len(name) > (63 if body["kind"] == "Job" else 253):
        raise invalid(f"metadata.name: Invalid value: {name!r}")
    for label in (body["metadata"].get("labels") or {}).values():
        if not re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?", label) or len(label) > 63:
            raise invalid(f"metadata.labels: Invalid value: {label!r}")
    if body["kind"] == "Secret":
        _check_secret(body)
    if body["kind"] == "Job":
        spec = body["spec"]["template"]["spec"]
        if spec.get("restartPolicy") not in ("Never", "OnFailure"):
            raise invalid("spec.template.spec.restartPolicy: Required value: valid values: OnFailure, Never")
        _check_pod(spec)
    if body["kind"] == "Pod":
        _check_pod(body["spec"])
        if restricted and (problems := violations(body["spec"])):
            raise forbidden(f'violates PodSecurity "restricted:latest": {", ".join(problems)}')


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
    if len(volumes) != len(set(volumes)):
        raise invalid("spec.volumes: Duplicate value")
    for container in spec["containers"]:
        mounts = container.get("volumeMounts") or []
        for mount in mounts:
            if mount["name"] not in volumes:
                raise invalid(f'volumeMounts: Not found: "{mount["name"]}"')
        if len({mount["mountPath"] for mount in mounts}) != len(mounts):
            raise invalid("volumeMounts: mountPath must be unique")
        resources = container.get("resources") or {}
        _check_resources(resources.get("requests") or {}, resources.get("limits") or {})


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
