"""The manifests, offline: every key is known, every name referred to exists, no dangerous permission is requested."""

import copy
import json
import re
import shlex
import shutil
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hera.workflows.models import Workflow

from scripts.lib.registering import fields, manifest
from tests.documents import command
from tests.kube_server import argo
from tests.kube_server.argo_crd import check_workflow
from tests.kube_server.errors import ApiError
from tests.kube_server.validation import VERSION, violations
from tests.kubernetes.lab import applied, documents
from tests.workflow import ROOT

ARGO = ROOT / "deploy" / "argo"
DECODE_AGAIN = {path.stem for path in (ROOT / "scripts").glob("*.py") if "frames_again" in path.read_text()}
DECODE_AGAIN.add("crop_boxes")
WORKFLOWS = ["single-pod", "fan-out", "fan-out-s3"]
VALUES = {f"workflow.parameters.{name}": "1" for name in manifest.TATOR_PARAMETERS}
VALUES |= {"workflow.name": "tator-detection-x", "workflow.status": "Succeeded"}


@pytest.fixture(params=WORKFLOWS)
def workflow(request: pytest.FixtureRequest) -> dict[str, Any]:
    (found,) = documents(f"deploy/argo/{request.param}.yaml")
    return found


def pods(workflow):
    """Return the pod that Argo makes of each template, with its parameters replaced."""
    declared = workflow["spec"]["arguments"]["parameters"]
    values = VALUES | {f"workflow.parameters.{one['name']}": one["value"] for one in declared}
    spec = argo.substitute({key: part for key, part in workflow["spec"].items()}, values)
    for template in spec["templates"]:
        claims = [
            {"name": one["metadata"]["name"], "persistentVolumeClaim": {"claimName": "x"}}
            for one in spec.get("volumeClaimTemplates", [])
        ]
        pod = {
            "serviceAccountName": spec["serviceAccountName"],
            "securityContext": spec["securityContext"],
            "volumes": [*spec["volumes"], *claims],
            "containers": [{"name": "main", **template["container"]}],
            "tolerations": template.get("tolerations", []),
            **json.loads(template.get("podSpecPatch", "{}")),
        }
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", **template["metadata"]}, "spec": pod}


def unknown(given, kept, place=""):
    """Yield the keys that Argo's models drop, since they do not know them."""
    if isinstance(given, dict):
        for key, value in given.items():
            if key not in kept:
                yield f"{place}.{key}"
            else:
                yield from unknown(value, kept[key], f"{place}.{key}")
    elif isinstance(given, list):
        for at, (one, other) in enumerate(zip(given, kept, strict=True)):
            yield from unknown(one, other, f"{place}[{at}]")


def through_models(workflow):
    return json.loads(Workflow.model_validate(workflow).model_dump_json(by_alias=True, exclude_unset=True))


def test_argo_knows_every_key(workflow):
    assert list(unknown(workflow, through_models(workflow))) == []


def test_the_pods_of_a_successful_run_stay_as_long_as_documented(workflow):
    """Their logs show the summary; a claim stays as long as a pod that uses it."""
    kept = {"strategy": "OnWorkflowSuccess", "deleteDelayDuration": "1h"}
    assert workflow["spec"].get("podGC") == (kept if "volumeClaimTemplates" in workflow["spec"] else None)
    assert workflow["spec"]["ttlStrategy"]["secondsAfterSuccess"] == 86_400


def test_the_documented_label_finds_workflows(workflow):
    [label] = re.findall(r"kubectl get workflows,jobs -l app=(\S+)", (ROOT / "docs" / "kubernetes.md").read_text())
    assert workflow["metadata"]["labels"] == {"app": label}


def test_a_misspelt_key_would_be_found(workflow):
    workflow["spec"]["templates"][0]["retryStrategy"]["retryPolcy"] = "Always"
    assert list(unknown(workflow, through_models(workflow))) == [".spec.templates[0].retryStrategy.retryPolcy"]


def test_no_key_is_repeated():
    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader, node, deep=False):
        keys = [loader.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), keys
        return yaml.SafeLoader.construct_mapping(loader, node, deep)

    Strict.add_constructor(
        yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, lambda loader, node: mapping(loader, node, True)
    )
    for path in [*ARGO.rglob("*.yaml"), *(ROOT / "profiles").rglob("*.yaml")]:
        list(yaml.load_all(path.read_text(), Strict))


def test_an_api_server_accepts_the_manifests(workflow):
    """Before parameters are replaced: quantities are checked when the object is created."""
    check_workflow(workflow)
    assert list(fields.problems(workflow)) == []


def places(node, path=()):
    """Yield the path of each value of a document that is neither a mapping nor a list."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from places(value, (*path, key))
    elif isinstance(node, list):
        for at, value in enumerate(node):
            yield from places(value, (*path, at))
    else:
        yield path


def changed(node, path, value):
    """Return a document with another value at a path."""
    node = copy.deepcopy(node)
    inner = node
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return node


VALUES_OF_EACH_TYPE = ["{{workflow.parameters.image}}", 7, True, None, ["x"], {"x": "y"}, "20GB"]


@pytest.mark.parametrize("first", [0, 3])
def test_registering_refuses_the_same_values_as_an_api_server(workflow, first):
    """Each place gets a value of each type in turn; both give the same result, although they share no code."""
    refused = 0
    for at, path in enumerate(places(workflow)):
        other = changed(workflow, path, VALUES_OF_EACH_TYPE[(at + first) % len(VALUES_OF_EACH_TYPE)])
        try:
            check_workflow(other)
        except ApiError:
            refused += 1
            assert list(fields.problems(other)), path
        else:
            assert list(fields.problems(other)) == [], path
    assert refused >= 50


def test_a_quantity_that_is_a_parameter_is_refused_at_creation(workflow):
    found = [path for path in places(workflow) if {"requests", "limits"}.intersection(path)]
    assert len(found) >= 10
    for path in found:
        with pytest.raises(ApiError, match="does not match"):
            check_workflow(changed(workflow, path, "{{workflow.parameters.image}}"))


def test_names_that_are_referred_to_exist(workflow):
    spec = workflow["spec"]
    names = [template["name"] for template in spec["templates"]]
    assert sorted([spec["entrypoint"], spec["onExit"]]) == sorted(names)
    accounts = {item["metadata"]["name"] for item in documents("deploy/argo/base/accounts.yaml")}
    assert spec["serviceAccountName"] in accounts
    declared = set(manifest.parameters(workflow))
    used = set(re.findall(r"\{\{([^}]+)\}\}", json.dumps(workflow)))
    assert {name for name in used if not name.startswith("workflow.parameters.")} <= {
        "workflow.name",
        "workflow.status",
    }
    text = next(
        (ARGO / f"{name}.yaml").read_text() for name in WORKFLOWS if documents(f"deploy/argo/{name}.yaml") == [workflow]
    )
    aliases = set(re.findall(r"\*(\w+)", text))
    assert declared == {name.removeprefix("workflow.parameters.") for name in used} & declared | aliases & declared


@pytest.mark.parametrize("name", WORKFLOWS)
def test_tator_accepts_the_manifests_with_parameters(name):
    text = (ARGO / f"{name}.yaml").read_text()
    own = {"image": "registry.site.org/x:1", "s3_endpoint": "https://s3.site.org"}
    own = {parameter: value for parameter, value in own.items() if f"name: {parameter}," in text}
    assert manifest.problems(manifest.read(text)) == [
        f"manifest: parameter {parameter} is still the example's, {value}; give your own with --set {parameter}=..."
        for parameter, value in manifest.parameters(manifest.read(text)).items()
        if parameter in own
    ]
    assert manifest.problems(manifest.read(manifest.fill_in(text, own))) == []


def test_pods_are_valid_and_restricted(workflow):
    for pod in pods(workflow):
        kubernetes_validate.validate(pod, VERSION, strict=True)
        assert violations(pod["spec"]) == []
        (container,) = pod["spec"]["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert {"cpu", "memory", "ephemeral-storage"} <= container["resources"]["requests"].keys()
        # A namespace with a quota of limits accepts no pod without these.
        assert {"cpu", "memory", "ephemeral-storage"} <= container["resources"]["limits"].keys()
        assert "rest_token" not in json.dumps([container["command"], container["args"]])
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in pod["spec"]["volumes"]}


def test_only_the_pod_that_runs_the_workflow_has_secrets(workflow):
    runs, concludes = (pod["spec"]["containers"][0] for pod in pods(workflow))
    assert {"TATOR_AUTH_TOKEN", "TATOR_MEDIA_IDS"} <= {variable["name"] for variable in runs["env"]}
    left = {variable["name"] for variable in concludes.get("env", [])}
    assert left == ({"RUN_NAME", "POD_NAMESPACE"} if "kubernetes" in " ".join(runs["args"]) else set())


def test_only_a_lost_pod_is_retried(workflow):
    strategy = workflow["spec"]["templates"][0]["retryStrategy"]
    assert strategy["retryPolicy"] == "Always"  # otherwise Argo evaluates the expression only for some kinds of end
    codes = re.search(r"not in \[([0-9, ]+)\]$", strategy["expression"])
    assert codes
    assert {int(code) for code in codes[1].split(",")} == argo.ENDED_BY_ITSELF
    assert strategy["expression"].startswith('lastRetry.status == "Error" || ')


def test_no_dangerous_permissions():
    for path in ARGO.rglob("*.yaml"):
        text = path.read_text()
        assert not re.search(r"docker\.sock|:latest|privileged: true|hostPath|hostNetwork|\*\"\]|\[\"\*", text), path


def test_the_applied_objects_are_valid(tmp_path):
    """The command of the page copies the folder and applies the copy."""
    arguments = shlex.split(command("docs/kubernetes.md", "cp -r"))[2:]
    assert arguments == ["deploy/argo", "site", "&&", "kubectl", "apply", "-k", "site/overlays/example"]
    shutil.copytree(ROOT / arguments[0], tmp_path / arguments[1])
    objects = applied(str(tmp_path / arguments[-1]))
    for item in objects:
        kubernetes_validate.validate(item, VERSION, strict=True)
        assert item["metadata"]["namespace"] == "default"
    kinds = [item["kind"] for item in objects]
    assert sorted(set(kinds)) == ["NetworkPolicy", "Role", "RoleBinding", "ServiceAccount"]
    # The base has no namespace, without which an API server refuses a subject.
    subjects = [one for item in objects if item["kind"] == "RoleBinding" for one in item["subjects"]]
    assert {one["namespace"] for one in subjects} == {"default"}
    secrets = [item["imagePullSecrets"] for item in objects if item["kind"] == "ServiceAccount"]
    assert secrets == [[{"name": "registry-login"}]] * 3


def test_without_shared_storage_only_the_storage_differs():
    (shared,), (s3,) = (documents(f"deploy/argo/{name}.yaml") for name in ("fan-out", "fan-out-s3"))
    for workflow, own in ((shared, ("storage_", "CLAIM")), (s3, ("s3_", "SNAKEMAKE_STORAGE_S3_"))):
        spec = workflow["spec"]
        parameters = spec["arguments"]["parameters"]
        parameters[:] = [one for one in parameters if not one["name"].startswith(own[0])]
        for template in spec["templates"]:
            container = template["container"]
            container["env"] = [one for one in container.get("env", []) if not one["name"].startswith(own[1])]
        spec["volumes"] = [one for one in spec["volumes"] if one["name"] != "work"]
    assert [shared["spec"].pop(key) for key in ("volumeClaimTemplates", "volumeClaimGC", "podGC")]
    driver = s3["spec"]["templates"][0]["container"]
    assert driver["args"][1:3] == ["kubernetes-s3", "--default-storage-prefix"]
    driver["args"] = ["run", "kubernetes"]
    assert s3 == shared


def test_jobs_that_decode_media_again_have_room_for_them_without_a_shared_volume():
    profile = yaml.safe_load((ROOT / "profiles" / "kubernetes-s3" / "config.yaml").read_text())
    room = profile["set-resources"]
    assert {room[name]["disk_mb"] for name in DECODE_AGAIN} == {room["detect"]["disk_mb"]}


@pytest.mark.parametrize("name", ["kubernetes", "kubernetes-s3", "slurm"])
def test_jobs_that_decode_media_again_have_as_much_memory_and_time_as_detect(name):
    resources = yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())["set-resources"]
    for rule in DECODE_AGAIN:
        assert {key: resources[rule][key] for key in ("mem_mb", "runtime")}.items() <= resources["detect"].items()


def test_profiles_change_where_and_how_jobs_run_and_not_their_results():
    names = ("default", "kubernetes", "kubernetes-s3", "slurm")
    local, shared, s3, slurm = (
        yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text()) for name in names
    )
    for profile in (shared, s3, slurm):
        assert {key: profile[key] for key in local if key != "cores"} == {
            k: v for k, v in local.items() if k != "cores"
        }
        assert not profile.keys() & {
            "config",
            "configfile",
            "configfiles",
            "forcerun",
            "until",
            "omit-from",
            "directory",
        }
    differ = {key for key in shared.keys() | s3.keys() if shared.get(key) != s3.get(key)}
    assert differ == {"shared-fs-usage", "default-storage-provider", "latency-wait", "set-resources"}
    # SLURM jobs request the same resources as a pod with a shared claim, except those that SLURM does not have; a pod's
    # time limit only ends a job that hangs.
    assert {key: slurm[key] for key in ("jobs", "cores", "latency-wait")}.items() <= shared.items()
    requested, of_slurm = (
        {
            rule: {name: resources[name] for name in ("mem_mb", "gpu") if name in resources}
            for rule, resources in [("default", profile["default-resources"]), *profile["set-resources"].items()]
        }
        for profile in (shared, slurm)
    )
    # The image lacks the packages of these two rules.
    assert of_slurm == requested | {"convert_network": {"mem_mb": 8000}, "quantize_network": {"mem_mb": 8000}}
