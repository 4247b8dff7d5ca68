"""What register_algorithm refuses before it changes anything: missing parts, rights, wrong settings and manifests."""

from datetime import date, datetime
from pathlib import Path

import pytest
import yaml

from scripts.commands import register_algorithm
from tests.scripts.register_steps import (
    FAN_OUT,
    FAN_OUT_S3,
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


def test_everything_that_is_missing_is_listed_at_once(register, server):
    attributes = [{"name": "Species", "dtype": "float"}, {"name": "Confidence", "dtype": "float"}]
    server.change("localization_type", 31, attribute_types=attributes)
    server.change("media_type", 21, attribute_types=[{"name": MARK, "dtype": "bool"}])
    server.change("project", 11, creator=None, permissions={"1": "Can Edit"})
    write({**SETTINGS, "upload": {"localization_type_id": 31, "version_id": 77}, "evaluate": {"truth_version": 78}})
    code, _, complaint = register("--apply", "--cluster", "5")
    assert (code, writes(server)) == (1, [])
    first, *problems = complaint.splitlines()
    assert first == "nothing is changed, because this is missing:"
    for start, rest in (
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
        assert rest in problem
    assert len(problems) == 6


def test_wrong_box_types_are_refused(register):
    for type_id, message in ((99, "no 99; it has 31 (Box), 32 (Dot)"), (32, "of the kind dot")):
        write({**SETTINGS, "upload": {"localization_type_id": type_id}})
        code, _, complaint = register()
        assert (code, message in complaint) == (1, True), complaint


def test_missing_rights_are_listed_before_anything_is_changed(register, server, monkeypatch):
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
    [(made, _)] = algorithms(server)
    assert (made["cluster"], made["user"]) == (cluster, 2)
    # The cluster stays though it is not named again, and a viewer may look.
    assert register("--apply", "--files-per-job", "2")[0] == 0
    assert algorithms(server)[0][0]["cluster"] == cluster
    monkeypatch.setenv("TATOR_AUTH_TOKEN", server.tokens["viewer"])
    assert register("--files-per-job", "2", "--cluster", str(cluster))[0] == 0
    code, _, complaint = register("--files-per-job", "3")
    expected = "Can Transfer (where the site has fine-grained permissions: Full Control) to: update"
    assert (code, f"has the permission View Only in the project; expected {expected}" in complaint) == (1, True)


@pytest.mark.parametrize("permission", ["Can Transfer", "Can Execute"])
def test_a_site_with_fine_grained_permissions_needs_full_control(register, server, monkeypatch, permission):
    """Storing a manifest takes an address by its key, which such a site gives to Full Control alone."""
    server.change("project", 11, permissions={"1": "Full Control", "2": permission})
    cluster = server.add("job_cluster", organization=1, name="gpu", host="h", port=1, token="c" * 40, cert="secret")
    monkeypatch.setenv("TATOR_AUTH_TOKEN", server.tokens["person"])
    server.use_fine_grained_permissions()
    code, _, complaint = register("--apply", "--cluster", str(cluster))
    assert (code, algorithms(server)) == (1, [])
    assert f"has the permission {permission} in the project; expected Full Control to: register the algo" in complaint
    server.use_fine_grained_permissions(False)
    assert register("--apply", "--cluster", str(cluster))[0] == 0
    server.use_fine_grained_permissions()
    assert register("--apply", "--files-per-job", "2")[0] == 0  # the manifest stays
    monkeypatch.setenv("TATOR_AUTH_TOKEN", server.token)
    assert register("--apply", "--set", "image=registry.site.org/other:2")[0] == 0


def test_clusters_are_looked_up_and_their_credentials_are_not_shown(register, server):
    cluster = server.add("job_cluster", organization=1, name="gpu", host="h", port=1, token="c" * 40, cert="secret")
    server.add("job_cluster", organization=2, name="theirs", host="h", port=1, token="d" * 40, cert="secret")
    code, out, complaint = register("--cluster", str(cluster + 1))
    assert (code, complaint.splitlines()[1].endswith(f"it has {cluster} (gpu)")) == (1, True)
    assert "c" * 40 not in out + complaint
    assert register("--cluster", str(cluster), "--apply")[0] == 0
    assert algorithms(server)[0][0]["cluster"] == cluster


# Settings, and a part of the message that refuses them.
WRONG_SETTINGS = [
    ({**SETTINGS, "detect": {"img_max_side": 640, "img_min_size": 480}}, "unknown key; did you mean 'img_min_side'?"),
    (
        {**SETTINGS, "detect": {"img_max_side": 1, "img_min_side": 480}},
        "pipeline_args: detect.img_max_side: 1 is invalid",
    ),
    ({**SETTINGS, "keep_treshold": 0.5}, "pipeline_args: TATOR_PIPELINE_ARGS: unknown key 'keep_treshold'"),
    ({"data_image": "x"}, "pipeline_args: upload.localization_type_id: missing"),
    (["a"], "it is ['a']; expected settings"),
    (
        {"detect": {"img_max_side": float("nan")}},
        "my.yaml: detect.img_max_side: .nan cannot be written as JSON; expected text, a number, true or false",
    ),
    ({"upload": {"version": date(2024, 1, 1)}}, "my.yaml: upload.version: 2024-01-01 is a date in YAML; expected text"),
    (
        {"upload": {"version": datetime(2024, 1, 1, 12, 30)}, "counts": {"attributes": {date(2024, 1, 2): "a"}}},
        "my.yaml: counts.attributes: the key 2024-01-02 is a date in YAML; expected text: put it in quotes\n"
        "my.yaml: upload.version: 2024-01-01 12:30:00 is a date in YAML; expected text: put it in quotes\n",
    ),
    ({"upload": {"version": b"a"}}, "my.yaml: upload.version: b'a' cannot be written as JSON; expected text"),
    ({"media": {"fps": [1, {"a": date(2024, 1, 1)}]}}, "my.yaml: media.fps.1.a: 2024-01-01 is a date in YAML"),
]


def test_an_octal_number_is_refused(register, server):
    Path("my.yaml").write_text("upload: {localization_type_id: 031}\n")
    code, _, complaint = register("--apply")
    assert (code, writes(server)) == (1, [])
    assert complaint.startswith("my.yaml: line 1: 031 is the number 25 in YAML; write 31 or 25")


def test_wrong_settings_are_refused(register, server):
    for settings, message in WRONG_SETTINGS:
        write(settings)
        code, _, complaint = register("--apply")
        assert (code, message in complaint, writes(server)) == (1, True, []), complaint


@pytest.mark.parametrize(
    ("path", "detect", "message"),
    [
        (FAN_OUT_S3, {"split_seconds": 600}, "pipeline_args: detect.split_seconds: files go through a store (s3)"),
        (FAN_OUT, {"split_seconds": 600}, None),
        (SINGLE, {"device": "cpu"}, "pipeline_args: detect.device: cpu: tensorrt (by the settings) does not run"),
        (FAN_OUT, {"engine": "auto", "precision": "f16"}, "does not have f16"),
        (SINGLE, {"engine": "auto", "precision": "f16", "device": "cuda"}, None),
    ],
)
def test_settings_that_every_launch_refuses_are_refused(register, path, detect, message):
    write({**SETTINGS, "detect": SETTINGS["detect"] | detect, "export": None})  # an empty section is none
    parameter = "s3_endpoint=https://s3.site.org" if path == FAN_OUT_S3 else "storage_class=fast"
    code, _, complaint = register("--set", parameter, path=path)
    assert (code, complaint) == (0, "") if message is None else (code == 1 and message in complaint), complaint


def test_faults_of_the_manifest_are_listed_with_the_others(register, server):
    workflow = yaml.safe_load((ROOT / SINGLE).read_text())
    workflow["metadata"]["name"] = "one"
    workflow["spec"]["onExit"] = "nothing"
    workflow["spec"]["arguments"]["parameters"].append({"name": "rest_token", "value": "x"})
    Path("bad.yaml").write_text(yaml.safe_dump(workflow))
    write({**SETTINGS, "keep_threshold": 2})
    code, _, complaint = register("--apply", "--cluster", "7", path="bad.yaml")
    assert (code, writes(server)) == (1, [])
    for message in (
        "metadata.name is set",
        "spec.onExit is 'nothing'",
        "parameter rest_token is declared",
        "no job cluster 7",
        "detect.keep_threshold: 2 is invalid",
    ):
        assert message in complaint
    code, _, complaint = register("--set", "storage_clas=fast")
    assert (code, "did you mean 'storage_class'?" in complaint) == (1, True)


def test_quantities_of_kubernetes_are_checked_and_written(register, server):
    code, _, complaint = register("--apply", "--set", "storage_size=20GB", "--set", "gpus=0.5")
    assert (code, writes(server)) == (1, [])
    assert "storage is '20GB'; expected a quantity such as 1, 500m or 20Gi" in complaint
    assert "nvidia.com/gpu is '0.5'; expected a whole number" not in complaint, "types come first"
    code, _, complaint = register("--apply", "--set", "gpus=0.5")
    assert (code, "nvidia.com/gpu is '0.5'; expected a whole number" in complaint) == (1, True)
    assert register("--apply", "--set", "storage_size=20Gi", "--set", "gpus=0")[0] == 0
    [(_, text)] = algorithms(server)
    spec = yaml.safe_load(text)["spec"]
    assert spec["volumeClaimTemplates"][0]["spec"]["resources"]["requests"] == {"storage": "20Gi"}
    assert spec["templates"][0]["container"]["resources"]["limits"]["nvidia.com/gpu"] == "0"


def test_values_that_no_launch_can_use_are_refused(register, server):
    code, _, complaint = register("--apply", "--set", "image= ", "--set", "registry_secret=a b/")
    assert (code, writes(server), complaint.count("\n")) == (1, [], 3)
    assert (
        "parameter image gives spec.templates[0].container.image the value ' '; expected an image's name" in complaint
    )
    assert "spec.volumes[1].secret.secretName the value 'a b/'; expected a name in Kubernetes" in complaint
    code, _, complaint = register("--apply", path=FAN_OUT_S3)
    assert (code, "s3_endpoint is still the example's, https://s3.example.org; give" in complaint) == (1, True)


def test_two_algorithms_of_the_name_are_refused(register, server):
    for _ in range(2):
        server.add("algorithm", project=11, name="Detect fish", user=1, files_per_job=1, manifest="11/x.yaml")
    code, _, complaint = register("--apply")
    assert (code, "the algorithms 1, 2 are all named 'Detect fish'" in complaint, writes(server)) == (1, True, [])


def test_refusals_of_tator_and_its_store_are_reported_without_addresses(register, server):
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--files-per-job", "10001"],
            "10001; expected at most 10000, since a launch names its media in one environment",
        ),
        (["--files-per-job", "10000"], None),
        (["--name", "x" * 129], "129 characters; expected 1 to 128"),
        (["--name", "x" * 128], None),
        (["--category", ""], "--category: '' is empty; expected a text"),
        (["--name", "Fish (no. 2)"], "a workflow named 'fish-no.-2' would be refused by Kubernetes"),
        (["--name", ".5"], "expected each dot between letters or digits"),
        (["--name", "Fish 1.2, rev."], None),
    ],
)
def test_options_that_no_launch_can_use_are_refused(monkeypatch, capsys, options, message):
    monkeypatch.delenv("TATOR_API_SERVICE", raising=False)
    name = [] if "--name" in options else ["--name", "x"]
    if message is None:
        assert register_algorithm.main([SINGLE, *name, "--project", "1", *options]) == 1
        message = "--host missing; expected --host and --project"  # the next check
    else:
        with pytest.raises(SystemExit):
            register_algorithm.main([SINGLE, *name, *options])
    assert message in capsys.readouterr().err


def test_the_manifest_and_the_settings_are_not_replaced(register, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_bytes(Path(SINGLE).read_bytes())
    before = own.read_bytes(), Path("my.yaml").read_bytes()
    for output in (own, Path("my.yaml")):
        code, _, complaint = register("--output", str(output), path=own)
        assert (code, complaint) == (1, f"--output: {output} is the file that is read; expected another name\n")
    assert (own.read_bytes(), Path("my.yaml").read_bytes()) == before


def test_wrong_token_project_and_options_are_refused(register, server, monkeypatch):
    assert "answered 404" in register("--project", "999")[2]
    for options, message in (
        (
            ["--host", "tator.site.org"],
            "--host: 'tator.site.org' is invalid; expected: Address of the Tator site, `https",
        ),
        (["--project", "12.5"], "--project: '12.5' is invalid; expected a whole number from 1 to"),
        (["--project", "9" * 30], f"--project: {'9' * 30} is invalid; expected a whole number from 1 to"),
    ):
        code, out, complaint = register(*options)
        assert (code, out, message in complaint, complaint.count("\n")) == (1, "", True, 1), complaint
    for wrong in (["--files-per-job", "0"], ["--cluster", "x"], ["--set", "image"], ["--description", ""]):
        with pytest.raises(SystemExit):
            register(*wrong)
    assert "by --config and by --set" in register("--set", "pipeline_args={}")[2]
    monkeypatch.setenv("TATOR_AUTH_TOKEN", "f" * 40)
    code, _, complaint = register("--apply")
    assert (code, "set TATOR_AUTH_TOKEN to a valid token of this site" in complaint) == (1, True)
    assert "f" * 40 not in complaint
