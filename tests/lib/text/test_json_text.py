"""Test parsing of JSON from users and servers: all faults raise ValueError, and one function parses it."""

import ast

import pytest

from scripts.lib.data_images import archive, login
from scripts.lib.errors import GraphError, PipelineError, SettingsError
from scripts.lib.evaluation import truth_check
from scripts.lib.evaluation.truth import foreign_truth
from scripts.lib.files import read_json
from scripts.lib.graphs import nms_settings
from scripts.lib.server import faults
from scripts.lib.text import json_text
from tests.docker_engine import tar
from tests.workflow import ROOT

DEEP = "[" * 200_000 + "]" * 200_000
# Modules that parse only JSON that this workflow wrote, or that must start quickly.
EXCEPTIONS = {
    "scripts/lib/text/json_text.py", "scripts/lib/workflow/jobs/supervisor.py",
    "scripts/lib/workflow/jobs/job_progress.py", "scripts/lib/folder_source/run_listing.py",
    "scripts/lib/folder_source/local_media.py", "scripts/lib/registering/fields.py", "scripts/lib/server/schema.py",
    "deploy/licences.py", "deploy/run_sandboxed.py",
}  # fmt: skip


@pytest.mark.parametrize("text", [DEEP, DEEP.encode(), '{"a":' * 200_000, "", "nothing", b"\xff"])
def test_text_that_is_not_json_raises_a_value_error(text):
    with pytest.raises(ValueError, match=r"nested|Expecting|decode"):
        json_text.parse(text)


def test_json_is_read_in_one_place():
    found = set()
    for path in [path for folder in ("scripts", "deploy") for path in (ROOT / folder).rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("json.loads", "json.load", "answer.json"):
                found.add(str(path.relative_to(ROOT)))
    assert found == EXCEPTIONS


def test_a_record_that_is_nested_too_deeply(tmp_path):
    (tmp_path / "a.json").write_text(DEEP)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(tmp_path / "a.json")


def test_true_boxes_that_are_nested_too_deeply(tmp_path):
    path = tmp_path / "truth.json"
    path.write_text(DEEP)
    with pytest.raises(PipelineError, match=r"not COCO JSON as expected.*nested too deeply"):
        list(foreign_truth(path, [], []))
    assert "nested too deeply" in str(truth_check.problem_of_boxes(path, [1], None))


def test_settings_of_suppression_in_a_network_that_are_nested_too_deeply():
    with pytest.raises(PipelineError, match="nested too deeply"):
        nms_settings.from_text(DEEP, "graph.onnx")


def test_a_refusal_of_tator_that_is_nested_too_deeply():
    assert faults._message(DEEP) == DEEP[:500]


@pytest.mark.parametrize(
    "text", [DEEP, '{"a":' * 100_000 + "1" + "}" * 100_000, '{"auths": {"host": ' + DEEP + "}}", b"\xff\xfe", None]
)
def test_a_configuration_of_docker_that_cannot_be_read(tmp_path, monkeypatch, text):
    monkeypatch.setattr(login, "LARGEST_FILE", 2**20)
    path = tmp_path / "config.json"
    path.write_bytes(b" " * (2**20 + 1) if text is None else text.encode() if isinstance(text, str) else text)
    with pytest.raises(SettingsError, match="cannot be read as a Docker configuration in JSON"):
        login._look_up(path, "host")


def test_a_credential_helper_whose_answer_is_nested_too_deeply(tmp_path, monkeypatch):
    helper = tmp_path / "docker-credential-deep"
    helper.write_text(f"#!/bin/sh\ncat >/dev/null\nprintf '%s' '{'[' * 100_000}'\n")
    helper.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    path = tmp_path / "config.json"
    path.write_text('{"credsStore": "deep"}')
    with pytest.raises(SettingsError, match="has no usable credentials for host"):
        login._look_up(path, "host")


@pytest.mark.parametrize("nested", ["manifest.json", "index.json", "c"])
def test_an_archive_of_images_that_is_nested_too_deeply(tmp_path, nested):
    files = {"manifest.json": b'[{"Config": "c", "RepoTags": null, "Layers": []}]', "c": b"{}"} | {
        nested: DEEP.encode()
    }
    (tmp_path / "a.tar").write_bytes(tar(files))
    with pytest.raises(GraphError, match=r"not JSON|not as docker save writes"):
        archive.ImageArchive(tmp_path / "a.tar", tmp_path).resolve(None)
