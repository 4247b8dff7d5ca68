"""Placement of pods on nodes."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from .validation import quantity


@dataclass
class Node:
    """A machine of the cluster."""

    name: str = "node-1"
    capacity: dict[str, str] = field(
        default_factory=lambda: {
            "cpu": "16",
            "memory": "64Gi",
            "ephemeral-storage": "1Ti",
            "nvidia.com/gpu": "0",
        }
    )
    labels: dict[str, str] = field(default_factory=dict)
    taints: list[dict[str, str]] = field(default_factory=list)


def place(pod: dict[str, Any], nodes: list[Node], pods: list[dict[str, Any]]) -> tuple[Node | None, str]:
    """Return the first node with room for a pod, and the reasons why the others have none."""
    reasons = []
    for node in nodes:
        reason = _hindrance(
            pod["spec"], node, [one["spec"] for one in pods if one["spec"].get("nodeName") == node.name]
        )
        if reason is None:
            return node, ""
        reasons.append(reason)
    return None, f"0/{len(nodes)} nodes are available: {', '.join(reasons)}."


def _hindrance(spec: dict[str, Any], node: Node, others: list[dict[str, Any]]) -> str | None:
    if not (spec.get("nodeSelector") or {}).items() <= node.labels.items():
        return "1 node(s) didn't match Pod's node affinity/selector"
    for taint in node.taints:
        if not any(_tolerates(toleration, taint) for toleration in spec.get("tolerations") or []):
            return f"1 node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    used: dict[str, Decimal] = {}
    for other in others:
        for name, value in requests(other).items():
            used[name] = used.get(name, Decimal(0)) + value
    short = [
        name
        for name, value in requests(spec).items()
        if used.get(name, Decimal(0)) + value > quantity(node.capacity.get(name, 0))
    ]
    return f"1 Insufficient {', '.join(short)}" if short else None


def requests(spec: dict[str, Any]) -> dict[str, Decimal]:
    """Return the requests of a pod; a limit without a request counts as one."""
    total: dict[str, Decimal] = {}
    for container in spec["containers"]:
        resources = container.get("resources") or {}
        for name, value in {**(resources.get("limits") or {}), **(resources.get("requests") or {})}.items():
            total[name] = total.get(name, Decimal(0)) + quantity(value)
    return total


def _tolerates(toleration: dict[str, str], taint: dict[str, str]) -> bool:
    if toleration.get("key") not in (None, taint["key"]) or toleration.get("effect") not in (None, taint["effect"]):
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")
