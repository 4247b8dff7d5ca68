"""ResourceQuota and LimitRange of a namespace, applied when an object is created."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from .errors import ApiError, forbidden
from .objects import Objects
from .validation import quantity


@dataclass
class Limits:
    """Quotas by what they count (pods, count/jobs.batch, requests.memory), and the largest limit of a container.

    Attributes:
        quota: the hard limits.
        must_specify: limits that each container must set, since a quota counts them.
        container_max: the largest limits, as of a LimitRange.
        denied: message with which an admission webhook refuses each pod; empty for none.
    """

    quota: dict[str, str] = field(default_factory=dict)
    must_specify: tuple[str, ...] = ()
    container_max: dict[str, str] = field(default_factory=dict)
    denied: str = ""

    def check(self, plural: str, body: dict[str, Any], objects: Objects) -> None:
        """Refuse an object that exceeds the limits, with 403."""
        name = body["metadata"]["name"]
        if plural == "jobs":
            there = len(objects.find("jobs"))
            self._count("jobs.batch", name, {"count/jobs.batch": (Decimal(1), Decimal(there))})
        if plural != "pods":
            return
        if self.denied:
            raise ApiError(
                400, "BadRequest", f'admission webhook "policy.example.org" denied the request: {self.denied}'
            )
        for container in body["spec"]["containers"]:
            limits = (container.get("resources") or {}).get("limits") or {}
            missing = [f"limits.{one}" for one in self.must_specify if one not in limits]
            if missing:
                raise forbidden(f'pods "{name}" is forbidden: failed quota: q: must specify {",".join(missing)}')
            for resource, most in self.container_max.items():
                if quantity(limits.get(resource, 0)) > quantity(most):
                    message = f"maximum {resource} usage per Container is {most}, but limit is {limits[resource]}"
                    raise forbidden(f'pods "{name}" is forbidden: {message}')
        alive = [pod for pod in objects.find("pods") if pod["status"]["phase"] in ("Pending", "Running")]
        counts = {"pods": (Decimal(1), Decimal(len(alive)))}
        counts["requests.memory"] = (_memory(body), sum(map(_memory, alive), Decimal(0)))
        self._count("pods", name, counts)

    def _count(self, plural: str, name: str, counts: dict[str, tuple[Decimal, Decimal]]) -> None:
        over = [
            key
            for key, (requested, used) in counts.items()
            if key in self.quota and requested + used > quantity(self.quota[key])
        ]
        if over:
            amounts = [",".join(f"{key}={counts[key][at]}" for key in over) for at in (0, 1)]
            limited = ",".join(f"{key}={self.quota[key]}" for key in over)
            message = f"requested: {amounts[0]}, used: {amounts[1]}, limited: {limited}"
            raise forbidden(f'{plural} "{name}" is forbidden: exceeded quota: q, {message}')


def _memory(pod: dict[str, Any]) -> Decimal:
    requests = [(one.get("resources") or {}).get("requests") or {} for one in pod["spec"]["containers"]]
    return sum((quantity(one.get("memory", 0)) for one in requests), Decimal(0))
