"""Filling in a manifest changes only values of parameters; faults are found before a launch."""

import json

import pytest
import yaml

from scripts.lib.errors import SettingsError
from scripts.lib.registering import manifest
from tests.kube_server import argo

TEXT = """\
# The site's own.
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: x-}
spec:
  entrypoint: all   # the only one
  arguments:
    parameters:
      - {name: image, value: site/x:1}
      - name: args   # as JSON
        value: >-
          {}
      - {name: gpus, value: "1"}
  templates:
    - {name: all, container: {image: "{{workflow.parameters.image}}", args: ["{{ workflow.parameters.media_ids }}"]}}
"""


@pytest.mark.parametrize(
    "value", ["", "{}", json.dumps({"a": ["Røde \"fisk\" 'å' # \\ \n\t: 🐟", {"b": {}}]}), "{{x}}", "no", "\x85"]
)
def test_only_values_are_changed(value):
    filled = manifest.fill_in(TEXT, {"args": value, "gpus": "2"})
    assert manifest.parameters(manifest.read(filled)) == {"image": "site/x:1", "args": value, "gpus": "2"}
    assert manifest.problems(manifest.read(filled)) == []
    same = manifest.fill_in(filled, {"args": "{}", "gpus": "1"}).splitlines()
    assert [line for line in TEXT.splitlines() if line not in same] == [
        "        value: >-",
        "          {}",
    ]
    assert manifest.fill_in(TEXT, {}) == TEXT


@pytest.mark.parametrize("character", ["\x7f", "\x01", "\v", "\U0001fae9", "\b", "\x85", "\u2028", "\ue000", "🐟"])
def test_a_value_that_argo_cannot_fill_in_is_a_fault(character):
    """Argo quotes values as Go does, which JSON does not always understand."""
    workflow = manifest.read(manifest.fill_in(TEXT, {"args": f"a{character}b"}))
    try:
        assert argo.substitute("{{args}}", {"args": f"a{character}b"}) == f"a{character}b"
    except ValueError:
        expected = f"manifest: parameter args contains U+{ord(character):04X}, with which Argo fails each launch"
        assert [line.startswith(expected) for line in manifest.problems(workflow)] == [True]
    else:
        assert manifest.problems(workflow) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("{name: image, value: site/x:1}", "{name: image}", "no parameter 'image' with a value"),
        ("site/x:1}", "&x site/x:1}", "aliases (*name) only elsewhere"),
        ("name: image,", "name: imgae,", "did you mean 'imgae'?; it has imgae, args, gpus"),
    ],
)
def test_parameters_that_cannot_be_filled_in(old, new, message):
    text = TEXT.replace(old, new).replace('value: "1"}', "value: *x}" if "&x" in new else 'value: "1"}')
    with pytest.raises(SettingsError) as error:
        manifest.fill_in(text, {"gpus" if "&x" in new else "image": "2"})
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("argoproj.io/v1alpha1", "v1", "apiVersion is 'v1'"),
        ("{generateName: x-}", "{name: x}", "metadata.name is set"),
        ("{generateName: x-}", "{namespace: x}", "metadata.namespace is set"),
        ("entrypoint: all", "entrypoint: none", "spec.entrypoint is 'none'; expected one of the templates all"),
        ("  templates:", "  workflowTemplateRef:", "spec.templates is missing"),
        ("arguments:\n", "arguments:\n    artifacts: []\n", "Tator discards it"),
        ("name: gpus", "name: image", "parameter image is declared twice"),
        ("name: gpus", "name: host", "parameter host is declared; Tator gives it"),
        (', value: "1"}', "}", "parameter gpus has no value"),
        *[
            ("value: site/x:1", f"value: {value}", f"parameter image is still the example's, {value}; give your own")
            for value in ("registry.example.org/x:1", "https://s3.example.org", "example.com", "http://a.example.net:9")
        ],
        ("name: image", "name: picture", "parameter image is used and not declared"),
    ],
)
def test_faults_are_found_before_a_launch(old, new, message):
    assert manifest.problems(manifest.read(TEXT)) == []
    assert message in "\n".join(manifest.problems(manifest.read(TEXT.replace(old, new, 1))))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("v1alpha1\n", "v1alpha1\n---\n", "not one YAML document"),
        ("kind: Workflow", "kind: WorkflowTemplate", "not an Argo workflow"),
        ("metadata: {generateName: x-}\n", "", "not an Argo workflow"),
        ('- {name: gpus, value: "1"}', "- gpus", "not a list of names with values"),
        ("    parameters:", "    - parameters:", "not a list of names with values"),
    ],
)
def test_texts_that_are_not_manifests(old, new, message):
    with pytest.raises(SettingsError, match=message):
        manifest.fill_in(TEXT.replace(old, new, 1), {})


def test_a_stored_manifest_is_recognized_by_its_name():
    name = manifest.file_name(TEXT)
    assert manifest.is_stored_as(TEXT, f"11/{name}".replace(".yaml", "_0123456789abcdef.yaml"))
    for other in (None, "", f"11/{manifest.file_name(TEXT + ' ')}", f"11/{name}".replace(".yaml", "_ab_cd.yaml")):
        assert not manifest.is_stored_as(TEXT, other)
    assert yaml.safe_load(TEXT) == manifest.read(TEXT)


FILES = {
    "network": {"directory": None, "archive": None, "graph": "graph.onnx"},
    "tator": {"ca_file": None},
    "evaluate": {"truth_file": None, "track_truth_file": None},
    "detect": {"engine": "openvino"},
}


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("network", "directory", "/nets/fish", "network.directory is /nets/fish: it has to be there in the pods"),
        ("evaluate", "truth_file", "t.csv", "evaluate.truth_file is t.csv: it has to be there in the pods"),
        ("evaluate", "track_truth_file", "gt.txt", "evaluate.track_truth_file is gt.txt: it has to be there"),
        ("detect", "engine", "openvino", None),
    ],
)
def test_files_that_have_to_exist_in_the_pods_are_noted(section, key, value, message):
    settings = {**FILES, section: {**FILES[section], key: value}}
    found = list(manifest.notes(manifest.read(TEXT), settings))
    assert len(found) == (message is not None)
    assert all(message in line for line in found)


@pytest.mark.parametrize(
    ("engine", "message"),
    [("auto", "TensorRT"), ("tensorrt", "TensorRT"), ("onnxruntime", "onnxruntime"), ("openvino", None)],
)
def test_a_frozen_graph_that_the_image_cannot_convert_is_noted(engine, message):
    settings = {**FILES, "network": {**FILES["network"], "graph": "graph.pb"}, "detect": {"engine": engine}}
    found = list(manifest.notes(manifest.read(TEXT), settings))
    assert len(found) == (message is not None)
    assert all(f"graph.pb, which {message} cannot read and the image cannot convert" in line for line in found)
