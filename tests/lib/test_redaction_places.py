"""The token and signed addresses are removed from each text that the workflow writes; one test for each place."""

import json
import os
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from scripts.commands import inspect_network, make_pipeline_image, register_algorithm, select_media
from scripts.lib import command_line
from scripts.lib.data_images import tags
from scripts.lib.errors import MediaServerError, PipelineError, ServerError
from scripts.lib.server import faults
from scripts.lib.uploads import version_check
from scripts.lib.workflow import job
from scripts.lib.workflow.failures import as_fault

TOKEN = "f3a9c1d2e4b5a6978877665544332211aabbccdd"
SIGNATURE = "abcdefgh12345678"
SECRET = f"Token {TOKEN} at http://store/a(1).mp4?X-Amz-Expires=3&name=b(2).mp4&X-Amz-Signature={SIGNATURE} \x1b[2J"


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TATOR_AUTH_TOKEN", TOKEN)


def clean(text: str) -> bool:
    return "at http://store/a(1).mp4" in text and not any(word in text for word in (TOKEN, SIGNATURE, "\x1b"))


def failing(*_: object, **__: object) -> None:
    raise ServerError(SECRET)


def test_a_medias_reason() -> None:
    for error in (ValueError(SECRET), MediaServerError(SECRET), OSError(5, SECRET)):
        assert clean(as_fault(error).reason)


def test_an_answer_of_tator() -> None:
    refused = faults._from_answer("the list of media", "https://t", 400, json.dumps({"message": SECRET}), "view")
    assert clean(str(refused))


@pytest.mark.parametrize("error", [PipelineError(SECRET), OSError(2, "gone", SECRET)])
def test_the_error_of_a_command(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise error

    assert command_line.run(work) == 1
    assert clean(capsys.readouterr().err)


def test_messages_about_a_tag(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tags, "_now", failing)
    network = {"data_image": "net:1", "archive": None, "digest": None, "fetch": "registry", "ca_file": None}
    messages: list[str] = []
    tags.digest_behind_tag(network, tmp_path / "tag.json", messages.append)
    assert [clean(text) for text in messages] == [True]


def test_messages_about_a_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(version_check, "_boxes_in_version", failing)
    destination = tmp_path / "destination.json"
    destination.write_text(json.dumps({"version_id": 1, "version": "a", "type_id": 2}))
    messages: list[str] = []
    version_check.look_for_losses(
        {"host": "https://t"},
        os.environ,
        destination=destination,
        summary=tmp_path / "no",
        memory=tmp_path / "memory.json",
        tell=messages.append,
    )
    assert [clean(text) for text in messages] == [True]


def test_messages_of_a_job_to_the_user(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "_terminal", 2)
    job.tell_user(SECRET)
    assert clean(capfd.readouterr().err)


def test_the_error_of_a_job_without_a_log(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "_terminal", 2)
    job._say(SECRET, None)
    assert clean(capfd.readouterr().err)


@pytest.mark.parametrize(
    ("command", "work", "arguments"),
    [
        (inspect_network, "inspect_network", ["graph.onnx"]),
        (make_pipeline_image, "make_pipeline_image", ["net:1", "--graph-onnx", "graph.onnx"]),
        (select_media, "select_media", ["--host", "https://t", "--project", "1"]),
        (register_algorithm, "_run", ["m.yaml", "--name", "a"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_errors_of_commands(
    command: ModuleType,
    work: str,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, work, failing)
    assert command.main(arguments) == 1
    assert clean(capsys.readouterr().err)


@pytest.mark.parametrize("command", [make_pipeline_image, register_algorithm])
def test_messages_of_commands(command: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    command._say(SECRET)
    assert clean("".join(capsys.readouterr()))


def test_the_summary_of_select_media(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    selection = SimpleNamespace(lines=lambda: [SECRET], media_ids=[])
    monkeypatch.setattr(select_media, "select_media", lambda *_: selection)
    assert select_media.main(["--host", "https://t", "--project", "1"]) == 1
    assert clean(capsys.readouterr().err)


def test_names_shown_by_inspect_network(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(inspect_network, "inspect_network", lambda *_, **__: [SECRET])
    assert inspect_network.main(["graph.onnx"]) == 0
    assert clean(capsys.readouterr().out)
