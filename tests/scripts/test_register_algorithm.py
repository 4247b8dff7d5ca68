"""Test that the algorithm is registered once and kept up to date, and that all that is missing is reported first."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tator
import yaml

from scripts.commands import register_algorithm
from scripts.lib.registering import manifest
from tests.faults.steps import until
from tests.scripts.tator_steps import MARK
from tests.workflow import ROOT

SINGLE, FAN_OUT = (str(ROOT / "deploy" / "argo" / f"{name}.yaml") for name in ("single-pod", "fan-out"))
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
        given = ["--name", name, "--config", "my.yaml", "--set", f"image={IMAGE}"]
        code = register_algorithm.main([str(path), *given, *arguments])
        out, complaint = capsys.readouterr()
        for token in server.tokens.values():
            assert token not in out + complaint
        assert "Signature=" not in out + complaint
        assert "Traceback" not in out + complaint
        return code, out, complaint

    return run


def test_one_that_somebody_else_registered_at_the_same_moment_is_named(server, register):
    """Neither request sees the other's, and Tator has no uniqueness on a name."""
    server.fault("late_commit", operation="RegisterAlgorithm", seconds=3)

    def other():
        until(lambda: server.requests("RegisterAlgorithm"))
        return server.add("algorithm", project=server.project_id, name="Detect fish", manifest="other.yaml")

    with ThreadPoolExecutor(1) as beside:
        number = beside.submit(other)
        code, _, complaint = register("--apply", "--set", "storage_class=fast", "--category", "fish")
    assert code == 1
    assert f", {number.result()} are all named 'Detect fish'" in complaint


def standing(server):
    """Return the project's algorithms, each with its manifest as Tator would launch it."""
    api = tator.get_api(server.host, server.token)
    texts = {record["path"]: record["text"] for record in server.all("manifest")}
    return [(one, texts[one["manifest"]]) for one in api.get_algorithm_list(server.project_id)]


def lines(out, start):
    return [line.removeprefix(start) for line in out.splitlines() if line.startswith(start)]


def writes(server):
    """Return the operations that change something; GetDownloadInfo is a POST and changes nothing."""
    asked = [one for one in server.requests() if one["method"] != "GET"]
    return [one["operation"] for one in asked if one["operation"] != "GetDownloadInfo"]


def test_dry_run_tells_everything_and_does_nothing(register, server):
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


def test_registered_then_left_alone_then_updated(register, server):
    code, out, _ = register("--apply", "--set", "storage_class=fast", "--category", "fish", "--description", "Røde")
    assert (code, len(lines(out, "done: "))) == (0, 2)
    [(made, text)] = standing(server)
    assert (made["name"], made["user"], made["files_per_job"], made["cluster"]) == ("Detect fish", 1, 50, None)
    assert (made["categories"], made["description"]) == (["fish"], "Røde")
    [version] = [one for one in server.all("version") if one["name"] == SETTINGS["upload"]["version"]]
    assert version["description"].endswith("made by the detection workflow; people's edits are kept")

    original = (ROOT / SINGLE).read_text()
    given = manifest.parameters(yaml.safe_load(text))
    assert given | {"image": "", "pipeline_args": ""} == {
        **manifest.parameters(yaml.safe_load(original)), "storage_class": "fast", "image": "", "pipeline_args": ""
    }  # fmt: skip
    assert given["image"] == IMAGE
    assert json.loads(given["pipeline_args"]) == {**SETTINGS, "tator": {"ca_file": "/certs/site.pem"}}
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
    [(changed, text)] = standing(server)
    assert (changed["id"], changed["files_per_job"], changed["description"]) == (made["id"], 9, "Røde")
    assert manifest.parameters(yaml.safe_load(text))["storage_class"] == "standard"
    assert len(server.all("manifest")) == 2, "Tator keeps the old one"

    server.clear_requests()
    assert register("--apply", "--files-per-job", "8")[0] == 0
    assert writes(server) == ["UpdateAlgorithm"]
    assert len(server.all("manifest")) == 2


def test_a_manifest_that_somebody_changed_is_replaced(register, server):
    register("--apply")
    [(made, _)] = standing(server)
    edited = made["manifest"].replace(".yaml", "_0123456789abcdef.yaml")  # as their page saves it
    server.change("algorithm", made["id"], manifest=edited)
    assert "its manifest" in register("--apply")[1]
    assert len(standing(server)) == 1


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


def test_everything_that_is_missing_is_said_at_once(register, server):
    attributes = [{"name": "Species", "dtype": "float"}, {"name": "Confidence", "dtype": "float"}]
    server.change("localization_type", 31, attribute_types=attributes)
    server.change("media_type", 21, attribute_types=[{"name": MARK, "dtype": "bool"}])
    server.change("project", 11, creator=None, permissions={"1": "Can Edit"})
    write({**SETTINGS, "upload": {"localization_type_id": 31, "version_id": 77}, "evaluate": {"truth_version": 78}})
    code, _, complaint = register("--apply", "--cluster", "5")
    assert (code, writes(server)) == (1, [])
    first, *problems = complaint.splitlines()
    assert first == "nothing is changed, because this is missing:"
    for start, words in (
        (
            "mark.attribute: media type 'Video' has no string attribute",
            f"it has {MARK} (bool); add it in the project's",
        ),
        ("upload.species_attribute: box type 'Box' has no string or enum attribute 'Species'", "Species (float)"),
        ("upload.version_id: the project has no 77", "it has 41 (Baseline)"),
        ("evaluate.truth_version: the project has no 78", "it has 41 (Baseline)"),
        ("--cluster: the project's organization has no job cluster 5", "it has none"),
        ("admin, whose token it is, has the permission Can Edit", "Full Control) to: register the algorithm"),
    ):
        [problem] = [line for line in problems if line.startswith(f"  - {start}")]
        assert words in problem
    assert len(problems) == 6


def test_wrong_box_types(register):
    for type_id, words in ((99, "no 99; it has 31 (Box), 32 (Dot)"), (32, "of the kind dot")):
        write({**SETTINGS, "upload": {"localization_type_id": type_id}})
        code, _, complaint = register()
        assert (code, words in complaint) == (1, True), complaint


def test_who_may(register, server, monkeypatch):
    """Attributes need Full Control, Tator's own cluster a staff user; both are reported before anything is done."""
    server.change("media_type", 21, attribute_types=[])
    server.change("project", 11, permissions={"1": "Full Control", "2": "Can Transfer", "3": "View Only"})
    cluster = server.add("job_cluster", organization=1, name="gpu", host="h", port=1, token="c" * 40, cert="secret")
    monkeypatch.setenv("TATOR_AUTH_TOKEN", server.tokens["person"])
    code, _, complaint = register("--apply")
    assert (code, writes(server)) == (1, [])
    assert "person, whose token it is, is not a staff user of the site" in complaint
    assert "has the permission Can Transfer in the project; expected Full Control to: add the string attr" in complaint
    server.change("media_type", 21, attribute_types=[{"name": MARK, "dtype": "string"}])
    code, out, _ = register("--apply", "--cluster", str(cluster))
    assert (code, "only admins of the organization see its clusters" in out) == (0, True)
    [(made, _)] = standing(server)
    assert (made["cluster"], made["user"]) == (cluster, 2)
    # The cluster stays though it is not named again, and a viewer may look.
    assert register("--apply", "--files-per-job", "2")[0] == 0
    assert standing(server)[0][0]["cluster"] == cluster
    monkeypatch.setenv("TATOR_AUTH_TOKEN", server.tokens["viewer"])
    assert register("--files-per-job", "2", "--cluster", str(cluster))[0] == 0
    code, _, complaint = register("--files-per-job", "3")
    expected = "Can Transfer (where the site has fine-grained permissions: Full Control) to: update"
    assert (code, f"has the permission View Only in the project; expected {expected}" in complaint) == (1, True)


@pytest.mark.parametrize("permission", ["Can Transfer", "Can Execute"])
def test_a_site_with_fine_grained_permissions_takes_more(register, server, monkeypatch, permission):
    """Storing a manifest takes an address by its key, which such a site gives to Full Control alone."""
    server.change("project", 11, permissions={"1": "Full Control", "2": permission})
    cluster = server.add("job_cluster", organization=1, name="gpu", host="h", port=1, token="c" * 40, cert="secret")
    monkeypatch.setenv("TATOR_AUTH_TOKEN", server.tokens["person"])
    server.use_fine_grained_permissions()
    code, _, complaint = register("--apply", "--cluster", str(cluster))
    assert (code, standing(server)) == (1, [])
    assert f"has the permission {permission} in the project; expected Full Control to: register the algo" in complaint
    server.use_fine_grained_permissions(False)
    assert register("--apply", "--cluster", str(cluster))[0] == 0
    server.use_fine_grained_permissions()
    assert register("--apply", "--files-per-job", "2")[0] == 0  # the manifest stays
    monkeypatch.setenv("TATOR_AUTH_TOKEN", server.token)
    assert register("--apply", "--set", "image=registry.site.org/other:2")[0] == 0


def test_clusters_are_looked_up_and_their_credentials_stay_there(register, server):
    cluster = server.add("job_cluster", organization=1, name="gpu", host="h", port=1, token="c" * 40, cert="secret")
    server.add("job_cluster", organization=2, name="theirs", host="h", port=1, token="d" * 40, cert="secret")
    code, out, complaint = register("--cluster", str(cluster + 1))
    assert (code, complaint.splitlines()[1].endswith(f"it has {cluster} (gpu)")) == (1, True)
    assert "c" * 40 not in out + complaint
    assert register("--cluster", str(cluster), "--apply")[0] == 0
    assert standing(server)[0][0]["cluster"] == cluster


# With words of what is said.
WRONG_SETTINGS = [
    ({**SETTINGS, "detect": {"img_max_side": 640, "img_min_size": 480}}, "unknown key; did you mean 'img_min_side'?"),
    (
        {**SETTINGS, "detect": {"img_max_side": 1, "img_min_side": 480}},
        "pipeline_args: detect.img_max_side: 1 is invalid",
    ),
    ({**SETTINGS, "keep_treshold": 0.5}, "pipeline_args: TATOR_PIPELINE_ARGS: unknown key 'keep_treshold'"),
    ({"data_image": "x"}, "pipeline_args: upload.localization_type_id: missing"),
    (["a"], "contains a list; expected settings"),
    ({"detect": {"img_max_side": float("nan")}}, "cannot be written as JSON"),
]


def test_wrong_settings(register, server):
    for settings, words in WRONG_SETTINGS:
        write(settings)
        code, _, complaint = register("--apply")
        assert (code, words in complaint, writes(server)) == (1, True, []), complaint


def test_wrong_manifest_is_said_with_the_rest(register, server):
    workflow = yaml.safe_load((ROOT / SINGLE).read_text())
    workflow["metadata"]["name"] = "one"
    workflow["spec"]["onExit"] = "nothing"
    workflow["spec"]["arguments"]["parameters"].append({"name": "rest_token", "value": "x"})
    Path("bad.yaml").write_text(yaml.safe_dump(workflow))
    write({**SETTINGS, "keep_threshold": 2})
    code, _, complaint = register("--apply", "--cluster", "7", path="bad.yaml")
    assert (code, writes(server)) == (1, [])
    for words in (
        "metadata.name is set",
        "spec.onExit is 'nothing'",
        "parameter rest_token is declared",
        "no job cluster 7",
        "detect.keep_threshold: 2 is invalid",
    ):
        assert words in complaint
    code, _, complaint = register("--set", "storage_clas=fast")
    assert (code, "did you mean 'storage_class'?" in complaint) == (1, True)


def test_quantities_are_written_and_checked(register, server):
    code, _, complaint = register("--apply", "--set", "storage_size=20GB", "--set", "gpus=0.5")
    assert (code, writes(server)) == (1, [])
    assert "storage is '20GB'; expected a quantity such as 1, 500m or 20Gi" in complaint
    assert "nvidia.com/gpu is '0.5'; expected a whole number" not in complaint, "types come first"
    code, _, complaint = register("--apply", "--set", "gpus=0.5")
    assert (code, "nvidia.com/gpu is '0.5'; expected a whole number" in complaint) == (1, True)
    assert register("--apply", "--set", "storage_size=20Gi", "--set", "gpus=0")[0] == 0
    [(_, text)] = standing(server)
    spec = yaml.safe_load(text)["spec"]
    assert spec["volumeClaimTemplates"][0]["spec"]["resources"]["requests"] == {"storage": "20Gi"}
    assert spec["templates"][0]["container"]["resources"]["limits"]["nvidia.com/gpu"] == "0"


def test_a_graph_that_a_gpu_cannot_take_draws_a_note(register):
    assert "publish a data image with graph.onnx" in register()[1]
    write({**SETTINGS, "network": {"graph": "graph.onnx"}})
    assert "publish a data image with graph.onnx" not in register()[1]


def test_two_of_a_name_are_said(register, server):
    for _ in range(2):
        server.add("algorithm", project=11, name="Detect fish", user=1, files_per_job=1, manifest="11/x.yaml")
    code, _, complaint = register("--apply")
    assert (code, "the algorithms 1, 2 are all named 'Detect fish'" in complaint, writes(server)) == (1, True, [])


def test_faults_leave_one_algorithm(register, server):
    register("--apply")  # makes the version
    operations = ("RegisterAlgorithm", "SaveAlgorithmManifest", "Download", "GetUploadInfo")
    cases = [(kind, operation) for kind in ("drop_answer", "reset") for operation in operations]
    for kind, operation in [*cases, ("throttle", "RegisterAlgorithm"), ("status", "Download")]:
        server.fault(kind, operation=operation)
        assert register("--apply", name=f"{kind} {operation}")[0] == 0
        assert server.faults()["pending"] == []
    server.fault("drop_answer", operation="UpdateAlgorithm")
    assert register("--apply", "--files-per-job", "3")[0] == 0
    names = [one["name"] for one, _ in standing(server)]
    assert sorted(names) == sorted(["Detect fish", *(f"{kind} {operation}" for kind, operation in cases),
                                    "throttle RegisterAlgorithm", "status Download"])  # fmt: skip


def test_algorithm_that_comes_late_is_not_registered_twice(register, server, monkeypatch):
    monkeypatch.setenv("TATOR_ANSWER_SECONDS", "5")
    register("--apply")  # makes the version
    server.clear_requests()
    server.fault("drop_and_go_on", operation="RegisterAlgorithm", seconds=1)
    assert register("--apply", name="Late")[0] == 0
    assert len(server.requests("RegisterAlgorithm")) == 1


def test_what_tator_and_its_store_refuse_is_said_without_addresses(register, server):
    server.fault("expire_addresses", nth=1)
    code, out, complaint = register("--apply")
    assert (code, "answered 403; expected 200; run again" in complaint) == (1, True)
    assert lines(out, "done: ") == [f"make the version {SETTINGS['upload']['version']!r}"]
    server.fault("expire_addresses", operation="SaveAlgorithmManifest")
    assert "Command '['wget'" in register("--apply")[2]
    server.fault("revoke_token", operation="SaveAlgorithmManifest")
    assert "set TATOR_AUTH_TOKEN to a valid token" in register("--apply")[2]
    server.clear_faults()
    assert register("--apply")[0] == 0


def test_wrong_token_project_and_options(register, server, monkeypatch):
    assert "answered 404" in register("--project", "999")[2]
    for wrong in (["--files-per-job", "0"], ["--cluster", "x"], ["--set", "image"], ["--description", ""]):
        with pytest.raises(SystemExit):
            register(*wrong)
    assert "by --config and by --set" in register("--set", "pipeline_args={}")[2]
    monkeypatch.setenv("TATOR_AUTH_TOKEN", "f" * 40)
    code, _, complaint = register("--apply")
    assert (code, "set TATOR_AUTH_TOKEN to a valid token of this site" in complaint) == (1, True)
    assert "f" * 40 not in complaint


def test_as_a_program_with_the_address_of_the_configuration(server, monkeypatch, tmp_path):
    settings = {**SETTINGS, "tator": {"host": server.host, "project_id": server.project_id}}
    write(settings)
    for name in ("TATOR_API_SERVICE", "TATOR_PROJECT_ID"):
        monkeypatch.delenv(name)
    command = [sys.executable, "-m", "scripts.commands.register_algorithm", FAN_OUT, "--name", "Fan", "--apply"]
    given = ["--config", tmp_path / "my.yaml", "--set", f"image={IMAGE}", "--output", tmp_path / "out.yaml"]
    done = subprocess.run([*command, *given], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert server.token not in done.stdout
    [(made, text)] = standing(server)
    assert made["name"] == "Fan"
    assert "tator" not in json.loads(manifest.parameters(yaml.safe_load(text))["pipeline_args"])
    assert Path("out.yaml").read_text(encoding="utf-8") == text
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "expected --host and --project" in done.stderr
