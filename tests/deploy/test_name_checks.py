"""The stand-in's checks of names, which are those of an API server."""

from copy import deepcopy

import pytest

from tests.kube_server.argo import generate_name
from tests.kube_server.errors import ApiError
from tests.kube_server.validation import check

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "a.b-c", "labels": {"tator-detection/run": "A_1.b"}, "annotations": {"k8s.io/a": "any value"}},
    "spec": {
        "volumes": [{"name": "work", "emptyDir": {}}],
        "containers": [
            {
                "name": "main",
                "image": "x",
                "env": [{"name": "A_B.c-1", "value": "1"}],
                "ports": [{"name": "http-1", "containerPort": 80}],
                "volumeMounts": [{"name": "work", "mountPath": "/work"}],
            }
        ],
    },
}


def changed(path, value):
    pod = deepcopy(POD)
    inner = pod
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return pod


def test_a_pod_with_valid_names_is_accepted():
    check(POD, restricted=False)


CONTAINER = ("spec", "containers", 0)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("metadata", "name"), "A", "metadata.name.*must match"),
        (("metadata", "name"), "a.-b", "metadata.name.*must match"),
        (("metadata", "labels"), {"a": "x" * 64}, "labels.*no more than 63"),
        (("metadata", "labels"), {"a": "x-"}, "labels.*must match"),
        (("metadata", "labels"), {"a/b/c": "x"}, "prefix part"),
        (("metadata", "annotations"), {"a b": "x"}, "name part"),
        (("spec", "volumes", 0, "name"), "a.b", "volumes.*must match"),
        (("spec", "volumes", 0, "name"), "a" * 64, "volumes.*no more than 63"),
        ((*CONTAINER, "name"), "a_b", "containers.name.*must match"),
        ((*CONTAINER, "env", 0, "name"), "1A", "env.name.*must match"),
        ((*CONTAINER, "ports", 0, "name"), "80", "ports.name.*must match"),
        ((*CONTAINER, "ports", 0, "name"), "a" * 16, "ports.name.*no more than 15"),
        ((*CONTAINER, "volumeMounts"), [{"name": "work", "mountPath": "/w"}] * 2, "mountPath: Duplicate"),
    ],
)
def test_an_invalid_name_is_refused(path, value, message):
    with pytest.raises(ApiError, match=message):
        check(changed(path, value), restricted=False)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("Detect fish", "alg-12-proj-34-usr-56-name-detect-fish-"),
        ("Detect fish in the benthic survey", "alg-12-proj-34-usr-56-name-detect-fish-in-the-benthic-s-"),
        ("Detect fish 1.2", "alg-12-proj-34-usr-56-name-detect-fish-1.2-"),
    ],
)
def test_a_workflow_gets_its_name_as_from_tator(name, made):
    assert generate_name(12, 34, 56, name) == made
