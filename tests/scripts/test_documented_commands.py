"""The administrator's page: each command that registers an algorithm does what the page says, as it is written."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from scripts.commands import register_algorithm
from tests.tator_server.launch import Server
from tests.workflow import ROOT

PAGE = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(found.replace("\\\n", " "))
    for found in re.findall(r"^python -m scripts\.commands\.register_algorithm ((?:.*\\\n)*.*)$", PAGE, re.M)
]
SETTINGS = {
    "data_image": "registry.example.org/fish:1",
    "network": {"graph": "graph.onnx"},
    "detect": {"img_max_side": 640, "img_min_side": 480, "engine": "tensorrt"},
}


def as_written(command: list[str], server: Server) -> list[str]:
    """Return a command with this machine's site and image in place of the page's examples."""
    changed = {
        "https://tator.example.org": server.host,
        "3": str(server.project_id),
        "image=registry.example.org/tator-detection:1.0.0": "image=registry.site.org/tator-detection:1.0.0",
    }
    return [changed.get(word, word) for word in command]


@pytest.fixture
def administrator(tator_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Stand in a clone, with the page's `my.yaml` and a token; return the server."""
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    settings = {**SETTINGS, "upload": {"localization_type_id": tator_server.localization_type_id}}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TATOR_AUTH_TOKEN", tator_server.token)
    return tator_server


def test_page_has_a_command_for_each_kind_of_manifest() -> None:
    assert [Path(command[0]).stem for command in COMMANDS] == ["single-pod", "fan-out-s3"]


MANIFESTS = [*COMMANDS, ["deploy/argo/fan-out.yaml", *COMMANDS[0][1:]]]  # "only the manifest's name differs"


@pytest.mark.parametrize("command", MANIFESTS, ids=lambda command: Path(command[0]).stem)
def test_it_tells_what_it_would_do_and_does_it(
    administrator: Server, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    words = as_written(command, administrator)
    assert register_algorithm.main(words) == 0, capsys.readouterr()
    assert "register the algorithm 'Detect fish'" in capsys.readouterr().out
    assert administrator.all("algorithm") == []
    assert register_algorithm.main([*words, "--apply"]) == 0, capsys.readouterr()
    assert [one["name"] for one in administrator.all("algorithm")] == ["Detect fish"]


def test_a_parameter_of_another_manifest_is_named(administrator: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """The claim's parameters, given for the manifest that has no claim."""
    words = ["deploy/argo/fan-out-s3.yaml", *as_written(COMMANDS[0], administrator)[1:]]
    assert register_algorithm.main(words) == 1
    assert "the manifest has no parameter 'storage_class'" in capsys.readouterr().err
