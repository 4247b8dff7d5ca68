"""Shared by the tests of register_algorithm: the program against the stand-in, and the algorithms that it registers."""

from pathlib import Path

import pytest
import tator
import yaml

from scripts.commands import register_algorithm
from tests.workflow import ROOT

SINGLE, FAN_OUT, FAN_OUT_S3 = (
    str(ROOT / "deploy" / "argo" / f"{name}.yaml") for name in ("single-pod", "fan-out", "fan-out-s3")
)
IMAGE = "registry.site.org/tator-detection@sha256:" + "a" * 64
SETTINGS = {
    "tator": {"host": "https://elsewhere.org", "project_id": 99, "media_ids": [1, 2], "ca_file": "/certs/site.pem"},
    "data_image": "registry.site.org/fisk:1",
    "detect": {"img_max_side": 640, "img_min_side": 480, "engine": "tensorrt"},
    "upload": {"localization_type_id": 31, "version": "Røde fisk \"'}}"},
}


@pytest.fixture
def server(tator_server, monkeypatch, tmp_path):
    monkeypatch.setenv("TATOR_AUTH_TOKEN", tator_server.token)
    monkeypatch.setenv("TATOR_API_SERVICE", f"{tator_server.host}/rest")
    monkeypatch.setenv("TATOR_PROJECT_ID", str(tator_server.project_id))
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "3")
    monkeypatch.chdir(tmp_path)
    write(SETTINGS)
    return tator_server


def write(settings):
    Path("my.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")


@pytest.fixture
def register(server, capsys):
    """Return a function that runs the program: its exit code, its output, and its error messages."""

    def run(*arguments, path=SINGLE, name="Detect fish"):
        options = ["--name", name, "--config", "my.yaml"]
        if not any(one.startswith("image=") for one in arguments):
            options += ["--set", f"image={IMAGE}"]
        code = register_algorithm.main([str(path), *options, *arguments])
        out, complaint = capsys.readouterr()
        for token in server.tokens.values():
            assert token not in out + complaint
        assert "Signature=" not in out + complaint
        assert "Traceback" not in out + complaint
        return code, out, complaint

    return run


def algorithms(server):
    """Return the project's algorithms, each with its manifest as Tator would launch it."""
    api = tator.get_api(server.host, server.token)
    texts = {record["path"]: record["text"] for record in server.all("manifest")}
    return [(one, texts[one["manifest"]]) for one in api.get_algorithm_list(server.project_id)]


def lines(out, start):
    return [line.removeprefix(start) for line in out.splitlines() if line.startswith(start)]


def writes(server):
    """Return the operations that change something; GetDownloadInfo is a POST and changes nothing."""
    requests = [one for one in server.requests() if one["method"] != "GET"]
    return [one["operation"] for one in requests if one["operation"] != "GetDownloadInfo"]
