"""Registering reports what Argo and Kubernetes would refuse, with field, value and remedy."""

import copy
from decimal import Decimal
from functools import cache

import pytest
import yaml

from scripts.lib.registering import expressions, fields, manifest
from scripts.lib.text.display_text import shown
from tests.workflow import ROOT

MANIFESTS = {
    name: (ROOT / "deploy" / "argo" / f"{name}.yaml").read_text() for name in ("single-pod", "fan-out", "fan-out-s3")
}


# Values in place of the examples.
OWN = {"image": "registry.site.org/x:1", "s3_endpoint": "https://s3.site.org"}


def filled_in(name="fan-out", **values):
    return copy.deepcopy(_filled_in(name, tuple(values.items())))


@cache
def _filled_in(name, values):
    declared = manifest.parameters(manifest.read(MANIFESTS[name]))
    own = {parameter: value for parameter, value in OWN.items() if parameter in declared}
    return manifest.read(manifest.fill_in(MANIFESTS[name], own | dict(values)))


def at(node, path):
    """Return the part of a manifest at a path such as spec.templates.0.name."""
    for key in path.split("."):
        node = node[int(key)] if isinstance(node, list) else node[key]
    return node


DRIVER = "spec.templates.0"
CLAIM = "spec.volumeClaimTemplates.0.spec"
# Path, key, value (None removes it), and a part of the message.
BROKEN = [
    (f"{CLAIM}.resources.requests", "storage", "{{workflow.parameters.image}}", "read before parameters are filled in"),
    (f"{CLAIM}.resources.requests", "storage", "100 GB", "storage is '100 GB'; expected a quantity such as"),
    (f"{CLAIM}.resources.requests", "storage", "0", "expected a size above 0"),
    (f"{CLAIM}.resources.requests", "storage", None, "expected a size above 0"),
    (CLAIM, "accessModes", ["ReadWriteAll"], "accessModes holds 'ReadWriteAll'; expected one of ReadWriteOnce"),
    (CLAIM, "accesModes", ["ReadWriteOnce"], "accesModes is unknown to Argo, and would be refused or dropped; did you"),
    (f"{DRIVER}.container.resources.limits", "memory", "{{inputs.parameters.m}}", "limits.memory is"),
    (f"{DRIVER}.container.resources.limits", "memory", "512Mi", "requests.memory is '1Gi'; expected at most its limit"),
    (f"{DRIVER}.container.resources.limits", "memory", "-1Gi", "expected a quantity of at least 0"),
    (f"{DRIVER}.container.resources.limits", "cpu", 0.5, "cpu is 0.5; expected a whole number, or a text in quotes"),
    (f"{DRIVER}.container.resources.requests", "nvidia.com/gpu", "1", "expected the same limit"),
    (f"{DRIVER}.container.resources.limits", "nvidia.com/gpu", "500m", "expected a whole number"),
    (f"{DRIVER}.container.env.0", "value", 8, "env[0].value is 8; expected a text, in quotes"),
    (f"{DRIVER}.container.env.0", "value", True, "env[0].value is True; expected a text, in quotes"),
    ("spec.arguments.parameters.1", "value", 5, "parameters[1].value is 5; expected a text, in quotes"),
    ("spec", "activeDeadlineSeconds", "{{workflow.parameters.x}}", "expected a whole number, without quotes"),
    ("spec", "podGC", {"strategy": "OnSuccess"}, "expected one of OnPodCompletion"),
    ("spec.ttlStrategy", "secondsAfterSuccess", "60", "secondsAfterSuccess is '60'; expected a whole number"),
    (f"{DRIVER}.retryStrategy", "limit", "three", "limit is 'three'; expected a whole number"),
    (f"{DRIVER}.retryStrategy", "retryPolicy", "Sometimes", "expected one of Always"),
    (f"{DRIVER}.retryStrategy", "expression", "lastRetry.exitcode == 1", "lastRetry.exitcode is unknown"),
    (f"{DRIVER}.retryStrategy", "expression", "asInt(lastRetry.exitCode not in [0, 1]", "is not closed"),
    (DRIVER, "name", "a template", "expected pattern"),
    (DRIVER, "name", "conclude", "which another template has too"),
    (DRIVER, "suspend", {}, "is of the kinds container and suspend; expected exactly one"),
    (DRIVER, "container", None, "is of the kinds none; expected exactly one"),
    (DRIVER, "timeout", "300", "expected a duration with its unit"),
    (DRIVER, "parallelism", 2, "expected it for steps and dag only"),
    (DRIVER, "podSpecPatch", "{", "podSpecPatch is '{'; expected a part of a pod's spec"),
    (DRIVER, "podSpecPatch", '{"terminationGracePeriodSeconds": "60"}', "expected a whole number, without quotes"),
    (DRIVER, "podSpecPatch", '{"containers": [{"name": "main", "resources": {"limits": {"cpu": "2 c"}}}]}', "2 c"),
    (f"{DRIVER}.container", "args", ["{{inputs.parameters.profile}}"], "uses {{inputs.parameters.profile}}"),
    (f"{DRIVER}.container", "args", ["{{workflow.nane}}"], "uses {{workflow.nane}}, which Argo does not know there"),
    (f"{DRIVER}.container", "args", ["{{steps.before.outputs.result}}"], "which Argo does not know there"),
    (f"{DRIVER}.container", "image", "", "container.image is empty"),
    (f"{DRIVER}.container.volumeMounts.0", "name", "wrk", "names the volume 'wrk'; expected one of"),
    (f"{DRIVER}.container.volumeMounts.0", "mountPath", "/tmp", "has /tmp twice"),
    (f"{DRIVER}.container.env.1", "name", "TATOR_API_SERVICE", "has TATOR_API_SERVICE twice"),
    (f"{DRIVER}.container", "sidecars", [], "container.sidecars is unknown to Argo"),
    (DRIVER, "sidecars", [{"name": "wait", "image": "x"}], "which is Argo's own"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "key", "value", "message"), BROKEN)
def test_fields_that_argo_refuses(path, key, value, message):
    workflow = filled_in()
    if value is None:
        del at(workflow, path)[key]
    else:
        at(workflow, path)[key] = value
    found = manifest.problems(workflow)
    assert [line for line in found if message in line], found


STEPS = {"name": "steps", "steps": [[{"name": "a", "template": "workflow"}], [{"name": "b", "template": "conclude"}]]}
DAG = {
    "name": "dag",
    "dag": {
        "tasks": [
            {"name": "a", "template": "workflow"},
            {"name": "b", "template": "conclude", "depends": "a.Succeeded || a.Failed"},
        ]
    },
}


@pytest.mark.parametrize(
    "patch",
    [
        '{"containers": [{"name": "main", "resources": {"limits": {"memory": "{{inputs.parameters.mem}}"}}}]}',
        '{"containers": [{"name": "main", "resources": {"limits": {{inputs.parameters.mem}}}}]}',
    ],
)
def test_a_patch_may_have_parameters_that_are_known_only_at_launch(patch):
    workflow = filled_in()
    driver = at(workflow, DRIVER)
    driver["inputs"] = {"parameters": [{"name": "mem", "value": "1Gi"}]}
    driver["podSpecPatch"] = patch
    assert manifest.problems(workflow) == []


def test_a_parameter_may_be_read_at_launch():
    workflow = filled_in()
    value = {"configMapKeyRef": {"name": "site", "key": "address"}}
    workflow["spec"]["arguments"]["parameters"].append({"name": "address", "valueFrom": value})
    assert manifest.problems(workflow) == []


def with_template(template):
    workflow = filled_in()
    workflow["spec"]["templates"].append(copy.deepcopy(template))
    return workflow


def test_steps_and_dags_that_argo_accepts():
    assert [manifest.problems(with_template(one)) for one in (STEPS, DAG)] == [[], []]


@pytest.mark.parametrize(
    ("template", "path", "value", "message"),
    [
        (STEPS, "steps.0.0.template", "absent", "template is 'absent'; expected one of the templates"),
        (STEPS, "steps.1.0.name", "a", "which another one has too"),
        (DAG, "dag.tasks.1.template", "absent", "template is 'absent'; expected one of the templates"),
        (DAG, "dag.tasks.1.depends", "c.Succeeded", "depends on 'c'; expected one of the tasks a, b"),
        (DAG, "dag.tasks.1.depends", "b", "the tasks b wait for each other"),
        (DAG, "dag.tasks.1.name", "a", "which another one has too"),
    ],
)
def test_steps_and_dags_that_argo_refuses(template, path, value, message):
    workflow = with_template(template)
    place, _, key = path.rpartition(".")
    at(workflow["spec"]["templates"][-1], place)[key] = value
    found = manifest.problems(workflow)
    assert [line for line in found if message in line], found


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_workflows_manifests_are_accepted(name):
    assert manifest.problems(filled_in(name)) == []


def test_fields_with_aliases_get_the_parameters_value():
    text = manifest.fill_in(MANIFESTS["single-pod"], {"image": "a/b:1", "storage_size": "20Gi", "gpus": "2"})
    workflow = yaml.safe_load(text)
    assert at(workflow, f"{CLAIM}.resources.requests") == {"storage": "20Gi"}
    resources = at(workflow, f"{DRIVER}.container.resources")
    assert [resources[key]["nvidia.com/gpu"] for key in ("requests", "limits")] == ["2", "2"]
    assert manifest.parameters(workflow)["storage_size"] == "20Gi"
    assert manifest.problems(workflow) == []
    assert [line for line in text.splitlines() if "#" in line] == [
        line for line in MANIFESTS["single-pod"].splitlines() if "#" in line
    ]


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("storage_size", "20GB", "storage is '20GB'; expected a quantity such as"),
        ("storage_size", "-5Gi", "expected a size above 0"),
        ("storage_size", "", "expected a quantity"),
        ("gpus", "0.5", "expected a whole number"),
        ("gpus", "-1", "at least 0"),
        ("gpus", "one", "expected a quantity"),
    ],
)
def test_wrong_values_of_parameters(parameter, value, message):
    found = manifest.problems(filled_in("single-pod", **{parameter: value}))
    assert [line for line in found if message in line], found
    assert manifest.problems(filled_in("single-pod", gpus="0", storage_size="1.5Ti")) == []


IMAGE_EXPECTED = "container.image the value VALUE; expected an image's name, [HOST[:PORT]/]NAME[:TAG][@sha256:DIGEST]"
NAME_EXPECTED = "the value VALUE; expected a name in Kubernetes"


@pytest.mark.parametrize(
    ("name", "parameter", "values", "message"),
    [
        ("fan-out", "image", ["", " ", "Foo Bar:1", "site/Fish:1", "x:1 ", "x:a b", "x@sha256:1"], IMAGE_EXPECTED),
        ("single-pod", "image", ["", "https://site.org/x:1"], IMAGE_EXPECTED),
        ("single-pod", "registry_secret", ["", "a b/", "Login", "-a", "a" * 254], f"secret.secretName {NAME_EXPECTED}"),
        ("fan-out", "storage_class", ["my class", "Fast", "a/b"], f"storageClassName {NAME_EXPECTED}"),
        (
            "fan-out-s3",
            "s3_endpoint",
            ["s3.site.org", "ftp://s3.site.org", "http://", "https://s3 .org", "https://s3.site.org:x", " "],
            "S3_ENDPOINT_URL.value the value VALUE; expected http://HOST[:PORT] or https://HOST[:PORT]",
        ),
        (
            "fan-out-s3",
            "s3_region",
            ["a b", "-x", "7", "eu.x"],
            "S3_REGION.value the value VALUE; expected a region's name",
        ),
        (
            "fan-out-s3",
            "s3_bucket",
            ["", "My Bucket", "ø", "x" * 256],
            "args[3] the value VALUE; expected a bucket's name",
        ),
    ],
)
def test_values_that_no_launch_can_use(name, parameter, values, message):
    """Each is reported once, also where several fields have it."""
    for value in values:
        start = f"manifest: parameter {parameter} gives spec."
        [line] = manifest.problems(filled_in(name, **{parameter: value}))
        assert line.startswith(start), line
        assert message.replace("VALUE", shown(value)) in line, line
        assert line.endswith(f"; give another with --set {parameter}=...")


@pytest.mark.parametrize(
    ("name", "parameter", "values"),
    [
        ("fan-out", "image", ["x", "a/b/c:1", "localhost:5000/x@sha256:" + "a" * 64, "[::1]:5000/x"]),
        ("fan-out", "storage_class", ["", "fast.site-1"]),
        ("fan-out", "registry_secret", ["site.login-2"]),
        ("fan-out-s3", "s3_endpoint", ["", "http://10.0.0.1:9000", "https://[::1]:9000", "https://s3.site.org/store"]),
        ("fan-out-s3", "s3_region", ["", "eu-north-1"]),
        ("fan-out-s3", "s3_bucket", ["My_bucket", "a.b-c"]),
    ],
)
def test_values_that_a_launch_can_use(name, parameter, values):
    """Without a region or an endpoint, the driver and the storage plugin use us-east-1 and AWS."""
    for value in values:
        assert manifest.problems(filled_in(name, **{parameter: value})) == []


# Path, key, value, and a part of the message.
OWN_FIELDS = [
    ("spec", "serviceAccountName", "A b", "spec.serviceAccountName is 'A b'; expected a name in Kubernetes"),
    ("spec", "serviceAccountName", "{{workflow.parameters.x}}", "parameter x gives spec.serviceAccountName the value"),
    (f"{DRIVER}.container", "image", "site/X:1", "container.image is 'site/X:1'; expected an image's name"),
    (f"{DRIVER}.container", "image", "x:{{ workflow.parameters.x }}", "container.image the value 'x:A b'; expected"),
    (f"{DRIVER}.container", "image", "{{workflow.parameters.media_ids}}", None),
    (f"{DRIVER}.container", "image", "x:{{workflow.name}}", None),
    ("spec", "imagePullSecrets", [{"name": "a/b"}], "spec.imagePullSecrets[0].name is 'a/b'; expected a name in"),
    (
        f"{DRIVER}.container.env.0",
        "valueFrom",
        {"secretKeyRef": {"name": "{{workflow.parameters.x}}", "key": "k"}},
        "env.TATOR_API_SERVICE.valueFrom.secretKeyRef.name the value 'A b'; expected a name in Kubernetes",
    ),
    (DRIVER, "initContainers", [{"name": "a", "image": "B"}], "initContainers[0].image is 'B'; expected an image's"),
    (DRIVER, "podSpecPatch", '{"serviceAccountName": "{{workflow.parameters.x}}"}', "serviceAccountName is 'A b'; exp"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "key", "value", "message"), OWN_FIELDS)
def test_values_are_checked_where_they_are_used(path, key, value, message):
    workflow = filled_in()
    workflow["spec"]["arguments"]["parameters"].append({"name": "x", "value": "A b"})
    at(workflow, path)[key] = value
    found = manifest.problems(workflow)
    assert ([len(found)] and [message in line for line in found]) == ([True] if message else []), found


def test_a_password_in_a_value_is_not_shown():
    [line] = manifest.problems(filled_in("fan-out-s3", s3_endpoint="s3://me:pa55word@s3.site.org"))
    assert ("pa55word" in line, "...@s3.site.org" in line) == (False, True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("1", 1), ("500m", Decimal("0.5")), ("2Gi", 2 << 30), ("1e3", 1000), ("1.5k", 1500), ("1E", 10**18)],
        *[(".5", Decimal("0.5")), ("3n", Decimal("3e-9")), ("1K", None), ("1 Gi", None), ("", None), ("x", None)],
    ],
)
def test_quantities(text, value):
    assert fields.quantity(text) == value


@pytest.mark.parametrize(
    "expression",
    [
        'lastRetry.status == "Error" || asInt(lastRetry.exitCode) not in [0, 1, 2]',
        "!(lastRetry.message matches '.*OOM.*') && asFloat(lastRetry.duration) < 60.5",
        "lastRetry.status == 'Error' ? true : asInt(lastRetry.exitCode) == 143",
        'asInt(lastRetry.exitCode) in 128..143 or lastRetry.message contains "deleted"',
        "any([1, 2], # == asInt(lastRetry.exitCode))",
        'lastRetry.status in ["Error"] and not (asInt(lastRetry.exitCode) == 1)',
    ],
)
def test_expressions_that_argo_accepts(expression):
    assert list(expressions.problems(expression)) == []


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ('lastRetry.status == "Error', "has '\"' where none can be"),
        ("asInt(lastRetry.exitCode)) == 1", "closes nothing"),
        ("[1, 2", "not closed"),
        ("lastRetry.exitcode == 1", "lastRetry.exitcode is unknown"),
        ("asInteger(lastRetry.exitCode) == 1", "the function asInteger is unknown"),
        ("lastTry.status == 1", "the name lastTry is unknown"),
        ("asInt(lastRetry.exitCode) not [0]", "is not an expression"),
        ("== 1", "is not an expression"),
    ],
)
def test_expressions_that_argo_refuses(expression, message):
    found = list(expressions.problems(expression))
    assert len(found) == 1
    assert message in found[0]
