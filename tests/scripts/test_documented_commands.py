"""The administrator's page: each of its commands that register an algorithm does what the page says."""

import shlex
from pathlib import Path

import pytest
import yaml

from scripts.commands import register_algorithm
from tests.documents import command
from tests.tator_server.launch import Server
from tests.workflow import ROOT

COMMANDS = [
    shlex.split(found)[3:]
    for found in (
        command("docs/kubernetes.md", "python -m scripts.commands.register_algorithm deploy/argo/single-pod.yaml"),
        command("docs/kubernetes.md", "python -m scripts.commands.register_algorithm deploy/argo/fan-out-s3.yaml"),
    )
]
SETTINGS = {
    "data_image": "registry.example.org/fish:1",
    "network": {"graph": "graph.onnx"},
    "detect": {"img_max_side": 640, "img_min_side": 480, "engine": "tensorrt"},
}


def adapted(arguments: list[str], server: Server) -> list[str]:
    """Return a command with the stand-in's address, another image and another store in place of the page's examples."""
    changed = {
        "https://tator.example.org": server.host,
        "3": str(server.project_id),
        "image=registry.example.org/tator-detection:1.0.0": "image=registry.site.org/tator-detection:1.0.0",
        "s3_endpoint=https://s3.example.org": "s3_endpoint=https://s3.site.org",
    }
    return [changed.get(argument, argument) for argument in arguments]


@pytest.fixture
def administrator(tator_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Change to a folder with the page's `my.yaml`, with a token in the environment; return the server."""
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    settings = {**SETTINGS, "upload": {"localization_type_id": tator_server.localization_type_id}}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.chdir(tmp_path)
    name = command("docs/kubernetes.md", "export TATOR_AUTH_TOKEN=").removeprefix("export ").partition("=")[0]
    monkeypatch.setenv(name, tator_server.token)
    return tator_server


MANIFESTS = [*COMMANDS, ["deploy/argo/fan-out.yaml", *COMMANDS[0][1:]]]  # "only the manifest's name differs"


@pytest.mark.parametrize("documented", MANIFESTS, ids=lambda arguments: Path(arguments[0]).stem)
def test_documented_registrations_do_what_the_page_says(
    administrator: Server, capsys: pytest.CaptureFixture[str], documented: list[str]
) -> None:
    arguments = adapted(documented, administrator)
    assert register_algorithm.main(arguments) == 0, capsys.readouterr()
    assert "register the algorithm 'Detect fish'" in capsys.readouterr().out
    assert administrator.all("algorithm") == []
    assert register_algorithm.main([*arguments, "--apply"]) == 0, capsys.readouterr()
    assert [one["name"] for one in administrator.all("algorithm")] == ["Detect fish"]


def test_a_parameter_of_another_manifest_is_named(administrator: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """The parameters of a volume claim are refused for a manifest without one."""
    arguments = ["deploy/argo/fan-out-s3.yaml", *adapted(COMMANDS[0], administrator)[1:]]
    assert register_algorithm.main(arguments) == 1
    assert "the manifest has no parameter 'storage_class'" in capsys.readouterr().err
