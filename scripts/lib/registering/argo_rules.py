"""Check the rules of Argo's controller and Kubernetes for a workflow whose fields have the right types.

Argo checks names, references and parameters only after a workflow is submitted, and ends it with an error; Kubernetes
refuses a pod or claim only when it is created. This module finds such faults before anything is launched.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from scripts.lib.registering import expressions, fields, filled_fields
from scripts.lib.text import yaml_text

_KINDS = ("container", "containerSet", "script", "resource", "dag", "steps", "suspend", "data", "http", "plugin")
_LEAVES = frozenset(_KINDS) - {"dag", "steps"}
_RESERVED = ("init", "wait", "supervisor")
_ACCESS_MODES = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
# Tags with these beginnings are Argo's, and have to be known; others are ignored.
_ARGO = ("item.", "steps.", "inputs.", "outputs.", "pod.", "workflow.", "tasks.")
_OF_WORKFLOW = {
    *("name", "namespace", "uid", "mainEntrypoint", "serviceAccountName", "status", "priority", "duration"),
    *("parameters", "parameters.json", "annotations", "annotations.json", "labels", "labels.json", "scheduledTime"),
}
_STARTS = ("workflow.creationTimestamp", "workflow.annotations.", "workflow.labels.", "workflow.outputs.", "outputs.")


def problems(workflow: Mapping[str, Any], parameters: Mapping[str, str | None]) -> Iterator[str]:
    """Yield a line for each rule that a workflow breaks.

    Args:
        workflow: a workflow for which `fields.problems` found nothing.
        parameters: the names of all parameters that a launch has, with the values that are known.
    """
    spec = workflow["spec"]
    templates = spec.get("templates") or []
    names = [template.get("name") for template in templates]
    for at, template in enumerate(templates):
        name = template.get("name")
        place = f"spec.templates[{at}]"
        if not name:
            yield f"{place} has no name; expected one: add it"
        elif names.count(name) > 1 and names.index(name) == at:
            yield f"{place}.name is {name!r}, which another template has too; expected different names"
        yield from _template(template, place, names, spec, parameters)
    yield from _retries(spec.get("retryStrategy") or {}, "spec.retryStrategy")
    yield from _patch(spec.get("podSpecPatch"), "spec.podSpecPatch", parameters)
    for at, claim in enumerate(spec.get("volumeClaimTemplates") or []):
        yield from _claim(claim, f"spec.volumeClaimTemplates[{at}]")
    yield from filled_fields.problems(spec, "spec", parameters)


def _template(
    template: Mapping[str, Any],
    place: str,
    names: list[Any],
    spec: Mapping[str, Any],
    parameters: Mapping[str, str | None],
) -> Iterator[str]:
    kinds = [kind for kind in _KINDS if template.get(kind) is not None]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none"
        yield f"{place} is of the kinds {found}; expected exactly one of {', '.join(_KINDS)}"
    yield from _tags(template, place, spec, parameters)
    yield from _retries(template.get("retryStrategy") or {}, f"{place}.retryStrategy")
    yield from _patch(template.get("podSpecPatch"), f"{place}.podSpecPatch", parameters)
    if _LEAVES.intersection(kinds) and "parallelism" in template:
        yield f"{place}.parallelism is set; expected it for steps and dag only: take it out"
    if str(template.get("timeout", "")).isdecimal():
        yield f"{place}.timeout is {template['timeout']!r}; expected a duration with its unit, such as 300s"
    yield from _tasks(template, place, names)
    volumes = [*(spec.get("volumes") or []), *(template.get("volumes") or [])]
    mountable = {volume["name"] for volume in volumes}
    mountable |= {(claim.get("metadata") or {}).get("name") for claim in spec.get("volumeClaimTemplates") or []}
    for kind in ("container", "script"):
        if kind in kinds:
            yield from _container(template[kind], f"{place}.{kind}", mountable, spec.get("templateDefaults") or {})
    for key in ("sidecars", "initContainers"):
        for at, container in enumerate(template.get(key) or []):
            yield from _container(container, f"{place}.{key}[{at}]", mountable, {})
            if container.get("name") in _RESERVED:
                yield f"{place}.{key}[{at}].name is {container['name']!r}, which is Argo's own; expected another name"


def _tasks(template: Mapping[str, Any], place: str, names: list[Any]) -> Iterator[str]:
    """Check the templates and tasks that a template of steps or a dag refers to."""
    groups = template.get("steps") or []
    tasks = [(f"{place}.steps[{at}][{of}]", one) for at, group in enumerate(groups) for of, one in enumerate(group)]
    dag = (template.get("dag") or {}).get("tasks") or []
    tasks += [(f"{place}.dag.tasks[{at}]", one) for at, one in enumerate(dag)]
    own = [task.get("name") for _, task in tasks]
    needs = {task.get("name"): _needed(task) for _, task in tasks}
    for where, task in tasks:
        if own.count(task.get("name")) > 1:
            yield f"{where}.name is {task.get('name')!r}, which another one has too; expected different names"
        named = task.get("template")
        if named is not None and "{{" not in named and named not in names:
            yield f"{where}.template is {named!r}; expected one of the templates {', '.join(map(str, names))}"
        if named is None and "templateRef" not in task and "inline" not in task:
            yield f"{where} has no template; expected the name of one: add it"
        for needed in sorted(needs[task.get("name")] - set(own)):
            yield f"{where} depends on {needed!r}; expected one of the tasks {', '.join(map(str, own))}"
    while ready := [name for name, needed in needs.items() if not needed & needs.keys()]:
        for name in ready:
            del needs[name]
    if needs:
        yield f"{place}.dag: the tasks {', '.join(map(str, needs))} wait for each other; expected no circle"


def _needed(task: Mapping[str, Any]) -> set[str]:
    words = re.findall(r"[A-Za-z0-9][-A-Za-z0-9]*(?=\.[A-Z]\w*|[^-\w.]|$)", str(task.get("depends") or ""))
    states = {"Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed"}
    return {*(task.get("dependencies") or []), *(word for word in words if word not in states)}


def _tags(
    template: Mapping[str, Any], place: str, spec: Mapping[str, Any], parameters: Mapping[str, str | None]
) -> Iterator[str]:
    """Check that Argo knows each of its tags {{...}} in a template; manifest.py checks the workflow's parameters."""
    inputs = template.get("inputs") or {}
    known = {f"workflow.{name}" for name in _OF_WORKFLOW} | {"pod.name"}
    known |= {f"inputs.parameters.{one['name']}" for one in inputs.get("parameters") or []} | {"inputs.parameters"}
    known |= {f"workflow.parameters.{name}" for name in parameters}
    if "onExit" in spec:
        known.add("workflow.failures")
    starts = [*_STARTS, *(f"inputs.artifacts.{artifact['name']}" for artifact in inputs.get("artifacts") or [])]
    groups = template.get("steps") or []
    starts += [f"steps.{step.get('name')}." for group in groups for step in group] + ["steps.name"]
    starts += [f"tasks.{task.get('name')}." for task in (template.get("dag") or {}).get("tasks") or []] + ["tasks.name"]
    if '"with' in json.dumps(template, default=str):
        starts.append("item.")
    for text in sorted(set(filled_fields.TAG.findall(json.dumps(template, default=str, ensure_ascii=False)))):
        tag = text.strip()
        # Parameters that are not declared are reported once for the whole manifest.
        if tag.startswith("=") or not tag.startswith(_ARGO) or tag.startswith("workflow.parameters."):
            continue
        if tag not in known and not tag.startswith(tuple(starts)):
            yield f"{place} uses {{{{{tag}}}}}, which Argo does not know there; correct the name, or take it out"


def _retries(strategy: Mapping[str, Any], place: str) -> Iterator[str]:
    limit = strategy.get("limit")
    if isinstance(limit, str) and "{{" not in limit and not limit.isdecimal():
        yield f"{place}.limit is {limit!r}; expected a whole number"
    if expression := strategy.get("expression"):
        for problem in expressions.problems(expression):
            yield f"{place}.expression: {problem}"


def _patch(text: str | None, place: str, parameters: Mapping[str, str | None]) -> Iterator[str]:
    """Check a podSpecPatch after its parameters are filled in."""
    if not text:
        return
    filled = filled_fields.filled(text, parameters)
    if filled_fields.TAG.search(filled):
        return  # known only at launch, when Argo fills in the text
    try:
        patch = yaml_text.parse(filled)
    except ValueError:
        patch = None
    if not isinstance(patch, dict):
        yield f"{place} is {text!r}; expected a part of a pod's spec, as JSON or YAML"
        return
    yield from fields.patch_problems(patch, place)
    yield from filled_fields.problems(patch, place, parameters)


def _container(
    container: Mapping[str, Any], place: str, mountable: set[Any], defaults: Mapping[str, Any]
) -> Iterator[str]:
    if not container.get("image") and not (defaults.get(place.rpartition(".")[2]) or {}).get("image"):
        yield f"{place}.image is empty; expected an image's name: add it"
    mounts = container.get("volumeMounts") or []
    paths = [mount["mountPath"] for mount in mounts]
    for mount in mounts:
        if mount["name"] not in mountable:
            volumes = ", ".join(sorted(map(str, mountable))) or "none"
            yield f"{place}.volumeMounts names the volume {mount['name']!r}; expected one of {volumes}"
    for path in sorted({path for path in paths if paths.count(path) > 1}):
        yield f"{place}.volumeMounts has {path} twice; expected different folders"
    variables = [variable["name"] for variable in container.get("env") or []]
    for name in sorted({name for name in variables if variables.count(name) > 1}):
        yield f"{place}.env has {name} twice; expected different names"
    yield from _resources(container.get("resources") or {}, f"{place}.resources")


def _resources(resources: Mapping[str, Any], place: str) -> Iterator[str]:
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    for key, values in (("requests", requests), ("limits", limits)):
        for name, value in values.items():
            amount = fields.quantity(value)
            if amount is None or amount < 0:
                yield f"{place}.{key}.{name} is {value!r}; expected a quantity of at least 0"
            elif "/" in name and amount % 1:
                yield f"{place}.{key}.{name} is {value!r}; expected a whole number"
    for name, value in requests.items():
        requested, limit = fields.quantity(value), fields.quantity(limits.get(name, ""))
        if "/" in name and limit != requested:
            yield f"{place}.requests.{name} is {value!r} and its limit {limits.get(name)!r}; expected the same limit"
        elif requested is not None and limit is not None and requested > limit:
            yield f"{place}.requests.{name} is {value!r}; expected at most its limit, {limits[name]!r}"


def _claim(claim: Mapping[str, Any], place: str) -> Iterator[str]:
    if not (claim.get("metadata") or {}).get("name"):
        yield f"{place}.metadata.name is empty; expected the volume's name: add it"
    spec = claim.get("spec") or {}
    modes = spec.get("accessModes") or []
    for mode in modes or ["none"]:
        if mode not in _ACCESS_MODES:
            yield f"{place}.spec.accessModes holds {mode!r}; expected one of {', '.join(_ACCESS_MODES)}"
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    amount = fields.quantity(size)
    if amount is None or amount <= 0:
        yield f"{place}.spec.resources.requests.storage is {size!r}; expected a size above 0, such as 100Gi"
