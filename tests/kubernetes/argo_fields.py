"""Make scripts/lib/registering/argo_fields.json from the full CRD of a release of Argo Workflows.

    python -m tests.kubernetes.argo_fields argoproj_io_workflows.yaml v4.1.2 scripts/lib/registering/argo_fields.json

The CRD is manifests/base/crds/full/argoproj.io_workflows.yaml of Argo's repository. Kept are the parts that an API
server checks: types, patterns, enumerations, bounds and required fields; equal objects are written once. Descriptions,
rules in CEL and the status are left out.
"""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

KEPT = {
    *("type", "enum", "pattern", "required", "minimum", "maximum", "anyOf", "minItems", "maxItems"),
    *("minLength", "maxLength", "x-kubernetes-list-map-keys", "x-kubernetes-preserve-unknown-fields"),
}


def convert(crd: dict[str, Any], version: str) -> dict[str, Any]:
    """Return the JSON schema of a CRD's objects, closed: it refuses unknown fields."""
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    shared: dict[str, dict[str, Any]] = {}
    names: dict[str, str] = {}

    def converted(node: dict[str, Any], name: str) -> dict[str, Any]:
        kept = {key: value for key, value in node.items() if key in KEPT}
        for key in ("items", "additionalProperties"):
            if isinstance(node.get(key), dict):
                kept[key] = converted(node[key], name)
        if "properties" not in node:
            if kept.get("type") == "object" and "additionalProperties" not in kept:
                kept["additionalProperties"] = "x-kubernetes-preserve-unknown-fields" in kept
            return kept
        kept["properties"] = {key: converted(one, key) for key, one in node["properties"].items()}
        kept["additionalProperties"] = "x-kubernetes-preserve-unknown-fields" in kept
        text = json.dumps(kept, sort_keys=True)
        if text not in names:
            names[text] = name if name not in shared else f"{name}-{len(shared)}"
            shared[names[text]] = kept
        return {"$ref": f"#/$defs/{names[text]}"}

    properties = schema["properties"]
    # The API server checks an object's metadata against a type of Kubernetes, of which these fields can be set.
    metadata = {
        "type": "object",
        "properties": {
            **{key: {"type": "string"} for key in ("name", "generateName", "namespace")},
            **{
                key: {"type": "object", "additionalProperties": {"type": "string"}} for key in ("labels", "annotations")
            },
            "finalizers": {"type": "array", "items": {"type": "string"}},
        },
        "additionalProperties": False,
    }
    fields = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": metadata}
    source = f"the full CRD of Argo Workflows {version} (Apache License 2.0)"
    return {
        "$comment": f"Facts of {source}, by tests/kubernetes/argo_fields.py",
        "type": "object",
        "required": schema["required"],
        "properties": {**fields, "spec": converted(properties["spec"], "spec")},
        "additionalProperties": False,
        "$defs": shared,
    }


def written(schema: dict[str, Any]) -> str:
    """Return a schema as JSON, with one definition on each line."""
    definitions = schema.pop("$defs")
    head = json.dumps(schema, indent=1)[:-2]
    lines = [f'  "{name}": {json.dumps(one, separators=(",", ":"))}' for name, one in definitions.items()]
    return head + ',\n "$defs": {\n' + ",\n".join(lines) + "\n }\n}\n"


if __name__ == "__main__":
    source, release, target = sys.argv[1:]
    content = yaml.load(Path(source).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    Path(target).write_text(written(convert(content, release)), encoding="utf-8")
