"""Registering an algorithm: made once, kept up to date, and with the types' missing attributes."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from scripts.commands import register_algorithm
from scripts.lib.registering import manifest
from tests.faults.steps import until
from tests.kube_server import argo
from tests.scripts.register_steps import (
    FAN_OUT,
    IMAGE,
    SETTINGS,
    SINGLE,
    algorithms,
    lines,
    register,
    server,
    write,
    writes,
)
from tests.scripts.tator_steps import MARK
from tests.workflow import ROOT

__all__ = ["register", "server"]


def test_an_algorithm_that_somebody_registers_at_the_same_moment_is_named(server, register):
    """Neither request sees the other's, and Tator has no uniqueness on a name."""
    server.fault("late_commit", operation="RegisterAlgorithm", seconds=3)

    def other():
        until(lambda: server.requests("RegisterAlgorithm"))
        return server.add("algorithm", project=server.project_id, name="Detect fish", manifest="other.yaml")

    with ThreadPoolExecutor(1) as pool:
        number = pool.submit(other)
        code, _, complaint = register("--apply", "--set", "storage_class=fast", "--category", "fish")
    assert code == 1
    assert f", {number.result()} are all named 'Detect fish'" in complaint


def test_a_dry_run_lists_everything_and_changes_nothing(register, server):
    code, out, _ = register()
    assert code == 0
    assert lines(out, "to do: ") == [
        "make the version 'Røde fisk \"\\'}}'",
        "register the algorithm 'Detect fish'",
    ]
    assert out.startswith(f"project 11 'Stand-in' of {server.host}, as admin (Creator)\n")
    assert any("WORKFLOW_STORAGE_CLASSES" in note for note in lines(out, "note: "))
    assert "note: tator.ca_file is /certs/site.pem: it has to be there in the pods\n" in out
    assert out.endswith("nothing is changed; add --apply to do it\n")
    assert (writes(server), server.all("algorithm")) == ([], [])


def test_registered_then_unchanged_then_updated(register, server):
    code, out, _ = register("--apply", "--set", "storage_class=fast", "--category", "fish", "--description", "Røde")
    assert (code, len(lines(out, "done: "))) == (0, 2)
    [(made, text)] = algorithms(server)
    assert (made["name"], made["user"], made["files_per_job"], made["cluster"]) == ("Detect fish", 1, 50, None)
    assert (made["categories"], made["description"]) == (["fish"], "Røde")
    [version] = [one for one in server.all("version") if one["name"] == SETTINGS["upload"]["version"]]
    assert version["description"].endswith("made by the detection workflow; people's edits are kept")

    original = (ROOT / SINGLE).read_text()
    values = manifest.parameters(yaml.safe_load(text))
    assert values | {"image": "", "pipeline_args": ""} == {
        **manifest.parameters(yaml.safe_load(original)), "storage_class": "fast", "image": "", "pipeline_args": ""
    }  # fmt: skip
    assert values["image"] == IMAGE
    assert json.loads(values["pipeline_args"]) == {**SETTINGS, "tator": {"ca_file": "/certs/site.pem"}}
    assert [line for line in text.splitlines() if "#" in line] == [
        line for line in original.splitlines() if "#" in line
    ], "comments are kept"

    server.clear_requests()
    code, out, _ = register("--apply", "--set", "storage_class=fast", "--category", "fish")
    assert (code, lines(out, "the algorithm ")) == (0, [f"'Detect fish' ({made['id']}) is as it should be"])
    assert writes(server) == []

    code, out, _ = register("--apply", "--files-per-job", "9")
    assert code == 0
    assert lines(out, "done: ") == [
        f"update the algorithm 'Detect fish' ({made['id']}): files_per_job 50 -> 9, its manifest"
    ]
    [(changed, text)] = algorithms(server)
    assert (changed["id"], changed["files_per_job"], changed["description"]) == (made["id"], 9, "Røde")
    assert manifest.parameters(yaml.safe_load(text))["storage_class"] == "standard"
    assert len(server.all("manifest")) == 2, "Tator keeps the old one"

    server.clear_requests()
    assert register("--apply", "--files-per-job", "8")[0] == 0
    assert writes(server) == ["UpdateAlgorithm"]
    assert len(server.all("manifest")) == 2


def test_a_manifest_that_somebody_edited_is_replaced(register, server):
    register("--apply")
    [(made, _)] = algorithms(server)
    edited = made["manifest"].replace(".yaml", "_0123456789abcdef.yaml")  # as their page saves it
    server.change("algorithm", made["id"], manifest=edited)
    assert "its manifest" in register("--apply")[1]
    assert len(algorithms(server)) == 1


def test_missing_attributes_are_made(register, server):
    for kind, number in (("media_type", 21), ("media_type", 22), ("media_type", 23), ("localization_type", 31)):
        server.change(kind, number, attribute_types=[])
    server.change("media_type", 21, attribute_types=None)
    code, out, _ = register()
    assert code == 0
    assert lines(out, "to do: ")[:4] == [
        f"add the string attribute '{MARK}' to the media type 'Video'",
        f"add the string attribute '{MARK}' to the media type 'Image'",
        "add the string attribute 'Species' to the box type 'Box'",
        "add the float attribute 'Confidence' to the box type 'Box'",
    ]
    server.fault("drop_answer", operation="CreateAttributeType")
    assert register("--apply")[0] == 0
    made = [one for kind in ("media_type", "localization_type") for one in server.all(kind) if one["project"] == 11]
    assert {one["name"]: [(a["name"], a["dtype"]) for a in one["attribute_types"]] for one in made} == {
        "Video": [(MARK, "string")],
        "Image": [(MARK, "string")],
        "Multi": [],  # never marked
        "Live": [(MARK, "string"), ("Notes", "string")],
        "Box": [("Species", "string"), ("Confidence", "float")],
        "Dot": [],
    }
    server.clear_requests()
    assert (register("--apply")[0], writes(server)) == (0, [])


def test_attributes_for_counts_are_made(register, server):
    write({**SETTINGS, "counts": {"attributes": {"Cod": "MaxN cod"}}})
    code, out, _ = register()
    assert code == 0
    assert lines(out, "to do: ")[:2] == [
        "add the int attribute 'MaxN cod' to the media type 'Video'",
        "add the int attribute 'MaxN cod' to the media type 'Image'",
    ]
    assert register("--apply")[0] == 0
    assert "MaxN cod" not in register()[1]
    for number in (21, 22):
        server.change("media_type", number, attribute_types=[{"name": MARK, "dtype": "string"}])
    server.change("media_type", 21, attribute_types=[{"name": name, "dtype": "string"} for name in (MARK, "MaxN cod")])
    code, _, complaint = register()
    assert code == 1
    assert "counts.attributes: media type 'Video' has no int or float attribute 'MaxN cod'; it has" in complaint


def test_a_graph_that_tensorrt_cannot_read_gives_a_note(register):
    assert "publish a data image with graph.onnx" in register()[1]
    write({**SETTINGS, "network": {"graph": "graph.onnx"}})
    assert "publish a data image with graph.onnx" not in register()[1]


def test_temporary_faults_leave_one_algorithm(register, server):
    register("--apply")  # makes the version
    operations = ("RegisterAlgorithm", "SaveAlgorithmManifest", "Download", "GetUploadInfo")
    cases = [(kind, operation) for kind in ("drop_answer", "reset") for operation in operations]
    for kind, operation in [*cases, ("throttle", "RegisterAlgorithm"), ("status", "Download")]:
        server.fault(kind, operation=operation)
        assert register("--apply", name=f"{kind} {operation}")[0] == 0
        assert server.faults()["pending"] == []
    server.fault("drop_answer", operation="UpdateAlgorithm")
    assert register("--apply", "--files-per-job", "3")[0] == 0
    names = [one["name"] for one, _ in algorithms(server)]
    assert sorted(names) == sorted(["Detect fish", *(f"{kind} {operation}" for kind, operation in cases),
                                    "throttle RegisterAlgorithm", "status Download"])  # fmt: skip


def test_an_algorithm_that_appears_late_is_not_registered_twice(register, server, monkeypatch):
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "5")
    register("--apply")  # makes the version
    server.clear_requests()
    server.fault("drop_and_go_on", operation="RegisterAlgorithm", seconds=1)
    assert register("--apply", name="Late")[0] == 0
    assert len(server.requests("RegisterAlgorithm")) == 1


def test_the_program_takes_the_address_from_the_configuration(server, monkeypatch, tmp_path):
    settings = {**SETTINGS, "tator": {"host": server.host, "project_id": server.project_id}}
    write(settings)
    for name in ("TATOR_API_SERVICE", "TATOR_PROJECT_ID"):
        monkeypatch.delenv(name)
    command = [sys.executable, "-m", "scripts.commands.register_algorithm", FAN_OUT, "--name", "Fan", "--apply"]
    options = ["--config", tmp_path / "my.yaml", "--set", f"image={IMAGE}", "--output", tmp_path / "out.yaml"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert server.token not in done.stdout
    [(made, text)] = algorithms(server)
    assert made["name"] == "Fan"
    assert "tator" not in json.loads(manifest.parameters(yaml.safe_load(text))["pipeline_args"])
    assert Path("out.yaml").read_text(encoding="utf-8") == text
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "expected --host and --project" in done.stderr


def test_settings_with_rare_characters_can_be_filled_in_by_argo():
    config = {"upload": {"version": "Røde fisk\x7f\U0001fae9"}}
    options = register_algorithm._arguments([SINGLE, "--name", "x"])
    [written] = [
        one["value"]
        for one in yaml.safe_load(register_algorithm._filled_in(options, config))["spec"]["arguments"]["parameters"]
        if one["name"] == "pipeline_args"
    ]
    assert json.loads(argo.substitute("{{args}}", {"args": written})) == config
