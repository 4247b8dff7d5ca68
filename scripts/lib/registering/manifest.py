"""Read an Argo manifest for Tator: fill in its parameters, and find faults that would make a launch fail.

Tator only checks that a manifest is YAML. At launch it appends its parameters, overwrites `generateName`, and needs the
templates inline.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from scripts.lib.engines.table import names_of
from scripts.lib.errors import SettingsError
from scripts.lib.registering import argo_rules, fields
from scripts.lib.text import yaml_text

# Parameters that Tator appends to spec.arguments.parameters at launch.
TATOR_PARAMETERS = ("name", "media_ids", "gid", "uid", "host", "rest_url", "rest_token", "tus_url", "project_id")
_ANCHOR = re.compile(r"(?<![^\s,\[\]{}])&[^\s,\[\]{}]+\s+")
# Values with a host of the documents and of deploy/argo, which is reserved for examples.
_EXAMPLE = re.compile(r"(https?://)?([\w-]+\.)*example\.(com|net|org)(?![\w.-])")
_PROFILE = re.compile(r'"run", "([\w-]+)"')
# Argo quotes a value as Go does and reads it as JSON, which does not know Go's \a, \v, \x.. and \U... .
_NOT_JSON = re.compile(r"[\x00-\x07\x0b\x0e-\x1f\x7f]|[\U00010000-\U0010ffff]")
_USED = re.compile(r"\{\{\s*workflow\.parameters\.([^}\s]+)\s*\}\}")


def read(text: str) -> dict[str, Any]:
    """Return the workflow in a manifest.

    Raises:
        SettingsError: the manifest is not YAML, has several documents, or is not an Argo workflow.
    """
    try:
        workflow = yaml_text.parse(text)
    except ValueError as error:
        raise SettingsError(f"the manifest is not one YAML document: {error}") from None
    shape = isinstance(workflow, dict) and all(isinstance(workflow.get(key), dict) for key in ("metadata", "spec"))
    if not shape or workflow.get("kind") != "Workflow":
        raise SettingsError("the manifest is not an Argo workflow; expected `kind: Workflow` with metadata and spec")
    arguments = workflow["spec"].get("arguments") or {}
    declared = arguments.get("parameters") or [] if isinstance(arguments, dict) else None
    if not isinstance(declared, list) or not all(isinstance(one, dict) and "name" in one for one in declared):
        raise SettingsError("the manifest's spec.arguments.parameters is not a list of names with values")
    return dict(workflow)


def parameters(workflow: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the parameters that a workflow declares, with their defaults; None for a parameter without one."""
    return {
        str(one["name"]): None if one.get("value") is None else str(one["value"])
        for one in _arguments(workflow).get("parameters") or []
    }


def _arguments(workflow: Mapping[str, Any]) -> dict[str, Any]:
    return workflow["spec"].get("arguments") or {}


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """Return a manifest with other defaults for its parameters; comments and everything else are not changed.

    Raises:
        SettingsError: the manifest declares no such parameter, or one without a default.
    """
    declared = parameters(read(text))
    if not values:
        return text
    for name in values:
        if declared.get(name) is None:
            close = difflib.get_close_matches(name, declared, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise SettingsError(f"the manifest has no parameter {name!r} with a value{hint}; it has {_list(declared)}")
    pieces, end = [], 0
    for name, node in _value_nodes(text):
        if name in values:
            quoted = yaml.safe_dump(values[name], default_style='"', allow_unicode=True, width=float("inf")).strip()
            start = node.start_mark.index
            if anchor := _ANCHOR.match(text, start):  # kept, so that fields that refer to it get the new value
                start = anchor.end()
            pieces += [text[end:start], quoted]
            end = start + len(text[start : node.end_mark.index].rstrip())  # the mark of a block is at the next key
    filled = "".join([*pieces, text[end:]])
    try:
        is_right = parameters(read(filled)) == {**declared, **values}
    except SettingsError:
        is_right = False
    if not is_right:
        raise SettingsError(
            "the manifest's parameters cannot be filled in; expected each value where its parameter is declared, and "
            "aliases (*name) only elsewhere"
        )
    return filled


def _value_nodes(text: str) -> Iterator[tuple[str, yaml.Node]]:
    """Yield the name of each parameter with the YAML node of its value."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in ("spec", "arguments", "parameters"):
        node = _entries(node)[key]
    for one in node.value:
        entries = _entries(one)
        if "value" in entries:
            yield entries["name"].value, entries["value"]


def _entries(node: Any) -> dict[str, Any]:
    return {key.value: value for key, value in node.value}


def problems(workflow: Mapping[str, Any]) -> list[str]:
    """Return a line for each fault that prevents a launch by Tator or a run by Argo of a workflow that was `read`."""
    wrong_fields = list(fields.problems(workflow))
    found = [*_shape(workflow), *_parameters(workflow), *wrong_fields]
    if not wrong_fields and isinstance(workflow["spec"].get("templates"), list):
        found += argo_rules.problems(workflow, {**dict.fromkeys(TATOR_PARAMETERS), **parameters(workflow)})
    return [f"manifest: {line}" for line in found]


def _shape(workflow: Mapping[str, Any]) -> Iterator[str]:
    metadata, spec = workflow["metadata"], workflow["spec"]
    if not str(workflow.get("apiVersion")).startswith("argoproj.io/"):
        yield f"apiVersion is {workflow.get('apiVersion')!r}; expected argoproj.io/v1alpha1"
    for key in ("name", "namespace"):
        if key in metadata:
            yield f"metadata.{key} is set; Tator chooses the {key} itself: take it out"
    templates = spec.get("templates")
    if not isinstance(templates, list) or not all(isinstance(template, dict) for template in templates):
        yield "spec.templates is missing; Tator needs the templates inline, a workflowTemplateRef is not enough"
        return
    names = [template.get("name") for template in templates]
    for key in ("entrypoint", "onExit"):
        if (key == "entrypoint" or key in spec) and spec.get(key) not in names:
            yield f"spec.{key} is {spec.get(key)!r}; expected one of the templates {_list(names)}"


def _parameters(workflow: Mapping[str, Any]) -> Iterator[str]:
    if "artifacts" in _arguments(workflow):
        yield "spec.arguments.artifacts is set; Tator discards it"
    declared = parameters(workflow)
    given = _arguments(workflow).get("parameters") or []
    names = [parameter["name"] for parameter in given]
    read_at_launch = {str(parameter["name"]) for parameter in given if parameter.get("valueFrom")}
    for name in sorted({str(name) for name in names if names.count(name) > 1}):
        yield f"parameter {name} is declared twice"
    for name, value in declared.items():
        if name in TATOR_PARAMETERS:
            yield f"parameter {name} is declared; Tator gives it at launch: take it out"
        elif value is None:
            if name not in read_at_launch:
                yield f"parameter {name} has no value; the web page sends none, so write one"
        elif _EXAMPLE.match(value):
            yield f"parameter {name} is still the example's, {value}; give your own with --set {name}=..."
        elif wrong := [one for one in _NOT_JSON.findall(value) if not one.isprintable()]:
            yield f"parameter {name} contains U+{ord(wrong[0]):04X}, with which Argo fails each launch: leave it out"
    for name in sorted(set(_USED.findall(json.dumps(workflow, default=str))) - declared.keys() - set(TATOR_PARAMETERS)):
        yield f"parameter {name} is used and not declared"


def file_name(text: str) -> str:
    """Return a file name that is unique for this manifest."""
    return f"tator-detection-{hashlib.sha256(text.encode()).hexdigest()[:20]}.yaml"


def is_stored_as(text: str, path: object) -> bool:
    """Return whether a path on the server is that of this manifest; Tator appends random digits to the name."""
    stem = file_name(text).removesuffix(".yaml")
    return (
        re.fullmatch(rf"{stem}(_[0-9a-f]+)?\.yaml", (path if isinstance(path, str) else "").rpartition("/")[2])
        is not None
    )


def profile(workflow: Mapping[str, Any]) -> str | None:
    """Return the profile that a workflow runs with, a folder of profiles/; None if it starts something else."""
    found = _PROFILE.search(json.dumps(workflow, default=str))
    return found[1] if found else None


def has_driver(workflow: Mapping[str, Any]) -> bool:
    """Return whether a workflow's own pod runs no jobs, but starts a pod for each of them."""
    return (profile(workflow) or "").startswith("kubernetes")


def notes(workflow: Mapping[str, Any], settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield notes about a manifest and its settings that are valid but may not be intended."""
    for section, key in (
        ("network", "directory"),
        ("network", "archive"),
        ("tator", "ca_file"),
        ("evaluate", "truth_file"),
        ("evaluate", "track_truth_file"),
    ):
        if path := settings[section][key]:
            yield f"{section}.{key} is {path}: it has to be there in the pods"
    if has_driver(workflow) and settings["detect"]["engine"] == "auto":
        yield "detect.engine is auto, which looks for a GPU in the driver, where there is none: name the engine"
    engine = settings["detect"]["engine"]
    if settings["network"]["graph"] == "graph.pb" and engine not in names_of(suffix=".pb"):
        reader = "TensorRT" if engine in ("auto", *names_of(is_built=True)) else engine
        yield (
            f"detect.engine is {engine} and network.graph is graph.pb, which {reader} cannot "
            "read and the image cannot convert: for a GPU publish a data image with graph.onnx, and set "
            "network.graph to graph.onnx"
        )


def _list(names: Any) -> str:
    return ", ".join(map(str, names)) or "none"
