"""The configuration: precedence, the reference workflow's keys, and one clear message for each problem."""

import contextlib
import json
import re
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.lib.errors import SettingsError
from scripts.lib.graphs.external import weight_files_in_folder
from scripts.lib.network_access import token
from scripts.lib.text.display_text import shown
from scripts.lib.workflow.configuration import network_settings, run_settings, settings
from tests.lib.workflow.configuration.resolved_settings import DEFAULTS, MINIMAL, ROOT, SCHEMA, refusal, resolve


def test_defaults_apply_where_the_user_sets_nothing():
    assert resolve()["detect"] == {**DEFAULTS["detect"], "img_max_side": 640, "img_min_side": 480}


def test_a_section_without_keys_has_the_defaults():
    assert resolve({"media": None, "detect": {"keep_threshold": 0.5}}) == resolve({"detect": {"keep_threshold": 0.5}})
    assert "network.directory" in refusal({"network": None})


def test_every_default_is_in_the_schema_and_every_key_has_a_default_and_a_description():
    for section, part in SCHEMA["properties"].items():
        assert set(part["properties"]) == set(DEFAULTS[section]), section
        assert all(rule.get("description") for rule in part["properties"].values()), section
    assert set(SCHEMA["properties"]) == set(DEFAULTS)


def test_environment_wins_over_file_and_file_over_defaults():
    environ = {
        "TATOR_MEDIA_IDS": "5, 3,5",
        "TATOR_API_SERVICE": "https://other.example.org/rest",
        "TATOR_PROJECT_ID": "9",
        "TATOR_CA_FILE": "site.pem",
        "TATOR_ALLOW_HTTP": "true",
        "TATOR_PIPELINE_ARGS": '{"keep_threshold": 0.7}',
    }
    found = resolve({"detect": {"keep_threshold": 0.5, "batch_size": 2}}, environ)
    expected = {"host": "https://other.example.org", "project_id": 9, "media_ids": [5, 3], "ca_file": "site.pem"}
    assert found["tator"] == {**expected, "allow_http": True, "media_file": None}
    assert (found["detect"]["keep_threshold"], found["detect"]["batch_size"]) == (0.7, 2)


def test_sections_in_the_pipeline_arguments():
    """Jobs of a cluster have no settings file: the variable may hold all that such a file holds."""
    arguments = {"keep_threshold": 0.7, "detect": {"batch_size": 2}, "upload": {"version": "Mine"}, "export": None}
    found = resolve(environ={"TATOR_PIPELINE_ARGS": json.dumps(arguments)})
    assert (found["detect"]["keep_threshold"], found["detect"]["batch_size"]) == (0.7, 2)
    assert found["upload"]["version"] == "Mine"


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"cod": "MaxN", "crab": "MaxN"}, "counts.attributes: 'cod', 'crab' share the attribute 'MaxN'; expected one"),
        ({"cod": "Object Detector Processed"}, "'Object Detector Processed' is in both; expected another for 'cod'"),
        ({"cod": ""}, "counts.attributes.cod: '' is invalid"),
        ({"cod": 3}, "counts.attributes.cod: 3 is invalid"),
        (["cod"], "counts.attributes: ['cod'] is invalid"),
    ],
)
def test_invalid_attributes_for_counts_are_refused(attributes, message):
    assert message in refusal({"counts": {"attributes": attributes}})
    assert resolve({"counts": {"attributes": {"cod": "MaxN cod"}}})["counts"]["attributes"] == {"cod": "MaxN cod"}


@pytest.mark.parametrize("host", ["http://t.org", "http://10.0.0.5:8080", "http://localhost.evil.org"])
def test_plain_http_elsewhere_is_refused_unless_allowed(host):
    assert f"tator.host: {host} has no TLS" in refusal({"tator": {"host": host}})
    assert resolve({"tator": {"host": host, "allow_http": True}})["tator"]["host"] == host
    assert resolve({"tator": {"host": host}}, {"TATOR_ALLOW_HTTP": "true"})["tator"]["host"] == host


@pytest.mark.parametrize("host", ["http://localhost", "http://127.0.0.1:8080", "http://[::1]:8080", "http://127.9.9.9"])
def test_plain_http_to_this_machine(host):
    assert resolve({"tator": {"host": host}})["tator"]["host"] == host


@pytest.mark.parametrize(
    "host",
    [
        *("https://user:hunter2@t.org", "https://hunter2@t.org", "//x:hunter2@t.org", "user:hunter2@t.org"),
        *("https://user:hunter2%40t.org", "https://user:hunter2\uff20t.org", "https://user:p@hunter2@t.org"),
    ],
)
@pytest.mark.parametrize("way", ["file", "environment"])
def test_a_password_in_the_address_is_refused_and_not_repeated(host, way):
    text = refusal({"tator": {"host": host}}) if way == "file" else refusal(environ={"TATOR_API_SERVICE": host})
    assert "tator.host: it contains a user name or password" in text
    assert "hunter2" not in text


def test_values_in_messages_are_shortened_and_contain_no_password():
    text = refusal({"network": {"data_image": "https://user:hunter2@host/ image " + "x" * 10_000}})
    assert "hunter2" not in text
    assert len(text) < 2000


@pytest.mark.parametrize(
    "host",
    [
        *("https://user:p@hunter2@t.org", "https://user:p/hunter2@t.org", "https://user:p hunter2@t.org"),
        *("user:hunter2@t.org", "hunter2@t.org", "user:p/hunter2@t.org", "https:/user:hunter2@t.org"),
        *("https://user:hunter2%40t.org", "user:hunter2\uff20t.org", f"https://u:hunter2{'x' * 300}@t.org"),
        b"user:hunter2@t.org",
    ],
)
@pytest.mark.parametrize("nest", [lambda host: [host], lambda host: [[[host]]], lambda host: {host: [{"a": host}]}])
def test_a_malformed_host_within_other_values_is_shown_without_its_password(host, nest):
    text = refusal({"tator": {"host": nest(host)}})
    assert "tator.host: " in text
    assert "...@t.org" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("value", ["registry:5000/net:1@sha256:abc", "/data/a@b/c.mp4", "https://t.org/a/b", "50 %"])
def test_other_values_are_shown_as_they_are(value):
    assert shown([value]) == f"['{value}']"


@pytest.mark.parametrize("text", ["[" * 100_000, "{" * 100_000])
def test_pipeline_arguments_nested_deeply(text):
    assert "TATOR_PIPELINE_ARGS is not JSON" in refusal(environ={"TATOR_PIPELINE_ARGS": text})


@pytest.mark.parametrize("host", ["https://t.org", "https://t.org/", "https://t.org/rest", "https://t.org/rest/"])
def test_host_with_and_without_rest(host):
    assert resolve({"tator": {"host": host}})["tator"]["host"] == "https://t.org"


@pytest.mark.parametrize("hyphens", [False, True])
@pytest.mark.parametrize("through", ["file", "environment"])
def test_the_reference_workflows_keys(hyphens, through):
    strategy = {
        "img_size": [720, 360],
        "keep_threshold": 0.4,
        "batch_size": 4,
        "data_image": "site/weights:1",
        "version_id": 12,
        "box_type_id": 8,
        "species_attr_name": "Taxon",
        "confidence_attr_name": "Score",
        "sentinel_name": "Seen",
        "media_type": "video",
        "img_ext": "mp4",
        "cpu_only": True,
    }
    if hyphens:
        strategy = {key.replace("_", "-"): value for key, value in strategy.items()}
    base = {"tator": MINIMAL["tator"]}
    found = (
        resolve(strategy, base=base)
        if through == "file"
        else resolve(environ={"TATOR_PIPELINE_ARGS": json.dumps(strategy)}, base=base)
    )
    assert found["detect"] == DEFAULTS["detect"] | {
        "engine": "openvino",
        "precision": None,
        "img_max_side": 720,
        "img_min_side": 360,
        "keep_threshold": 0.4,
        "batch_size": 4,
    }
    assert found["network"]["data_image"] == "site/weights:1"
    assert found["media"]["kind"] == "video"
    assert found["mark"]["attribute"] == "Seen"
    upload = found["upload"]
    assert (upload["localization_type_id"], upload["version_id"]) == (8, 12)
    assert (upload["species_attribute"], upload["confidence_attribute"]) == ("Taxon", "Score")


def test_the_media_type_of_the_reference_upload_step_is_ignored():
    assert resolve({"media_type": "pipeline", "type_id": 5})["media"]["kind"] == "any"


@pytest.mark.parametrize(
    ("config", "environ", "messages"),
    [
        ({"detect": {"keep_treshold": 0.5}}, {}, ["detect.keep_treshold", "unknown key", "'keep_threshold'"]),
        ({"kep_threshold": 0.5}, {}, ["'kep_threshold'", "unknown key", "'keep_threshold'"]),
        ({}, {"TATOR_PIPELINE_ARGS": '{"bach-size": 1}'}, ["TATOR_PIPELINE_ARGS", "bach-size", "'batch_size'"]),
        (
            {"detect": {"keep_threshold": 1.5}},
            {},
            ["detect.keep_threshold: 1.5 is invalid; expected a number from 0 to 1: Boxes"],
        ),
        ({"detect": {"batch_size": 0}}, {}, ["detect.batch_size", "0", "a whole number from 1 to 256"]),
        ({"detect": {"frame_stride": 0}}, {}, ["detect.frame_stride", "0", "a whole number of at least 1"]),
        ({"detect": {"frame_range": [20, 10]}}, {}, ["detect.frame_range", "[20, 10]", "ends before it begins"]),
        (
            {"detect": {"frame_range": [20]}},
            {},
            ["detect.frame_range: [20] is invalid; expected 2 entries: ", "[FIRST, LAST]"],
        ),
        (
            {"detect": {"frame_range": [-1, 10]}},
            {},
            ["detect.frame_range.0: -1 is invalid; expected a whole number of at least 0"],
        ),
        (
            {"detect": {"frame_range": "0-10"}},
            {},
            ["detect.frame_range", "'0-10'", "expected a list: ", "[FIRST, LAST]"],
        ),
        ({"detect": {"max_frames": 0}}, {}, ["detect.max_frames", "0", "at least 1"]),
        ({"detect": {"img_max_side": "wide"}}, {}, ["detect.img_max_side", "'wide'", "a whole number"]),
        ({"detect": {"engine": "tensorfow"}}, {}, ["detect.engine", "'tensorfow'", "openvino, onnxruntime"]),
        ({"detect": {"tiles": "autoo"}}, {}, ["detect.tiles", "'autoo' is invalid; expected: Cut", "`auto`"]),
        ({"detect": {"tiles": 640}}, {}, ["detect.tiles", "640 is invalid; expected keys with values or text: "]),
        ({"detect": {"tiles": {"width": 640}}}, {}, ["detect.tiles: {'width': 640}; expected width and height, or"]),
        (
            {"detect": {"tiles": {"width": "auto", "height": 640}}},
            {},
            ["detect.tiles.width: 'auto'", "a whole number from 32"],
        ),
        ({"detect": {"tiles": {"width": -640, "height": 640}}}, {}, ["detect.tiles.width: -640", "from 32 to 16384"]),
        ({"detect": {"tiles": {"overlap": 64}}}, {}, ["detect.tiles.overlap: 64", "from 0 to 0.9", "not pixels"]),
        ({"detect": {"tiles": {"overlap": -0.1}}}, {}, ["detect.tiles.overlap: -0.1", "from 0 to 0.9"]),
        ({"detect": {"tiles": {"whole": "yes"}}}, {}, ["detect.tiles.whole: 'yes' is invalid; expected true or false"]),
        ({"detect": {"tiles": {"overlapp": 0.1}}}, {}, ["detect.tiles.overlapp: unknown key; did you mean 'overlap'"]),
        (
            {"tator": {"media_ids": []}},
            {},
            ["tator.media_ids", "[] is invalid, as it is empty; expected one entry at least: Numbers"],
        ),
        ({"network": {"directory": ""}}, {}, ["network.directory", "'' is invalid, as it is empty; expected one"]),
        ({}, {"TATOR_MEDIA_IDS": "1,x"}, ["tator.media_ids", "'x'", "a whole number"]),
        ({"tator": {"media_ids": [3, -1]}}, {}, ["tator.media_ids", "-1", "at least 1"]),
        (
            {"tator": {"host": "tator.example.org"}},
            {},
            ["tator.host: 'tator.example.org' is invalid; expected: Address", "https://"],
        ),
        ({"tator": {"host": "https://me:secret@t.org"}}, {}, ["tator.host"]),
        ({"network": {"data_image": "a/b"}}, {}, ["network.directory", "directory, data_image; expected one"]),
        (
            {"network": {"directory": None}, "detect": {"img_max_side": None, "img_min_side": None}},
            {},
            ["used:\n  - network.directory, network.data_image, network.archive: none is set; set one of them"],
        ),
        ({"detect": {"precision": "f17"}}, {}, ["detect.precision", "'f17'", "one of f32, f16, int8, null"]),
        ({"detect": {"engine": "openvino", "precision": "f16"}}, {}, ["openvino does not have f16", "f32"]),
        ({"detect": {"precision": "int8"}}, {"TATOR_DETECT_ENGINE": "tensorrt"}, ["tensorrt does not have int8"]),
        ({"detect": {"calibration_media": [7, 8, 9]}}, {}, ["detect.calibration_media", "8, 9", "media of the run"]),
        (
            {"network": {"nms": {"iou": 0.5}}},
            {},
            ["network.nms.max_detections: missing", "network.nms.per_class: missing"],
        ),
        (
            {"evaluate": {"truth_version": 5, "truth_file": "a", "track_truth_version": 5, "track_truth_file": "b"}},
            {},
            [f"evaluate.{of}truth_version, evaluate.{of}truth_file: both are set; expected" for of in ("", "track_")],
        ),
        ({"evaluate": {"track_truth_file": "gt.txt"}}, {}, ["evaluate.track_truth_file", "set that too"]),
        ({"export": {"tracks": True}}, {}, ["export.tracks", "without track.enabled"]),
        ({"track": {"low_threshold": 0.6}}, {}, ["track.low_threshold", "0.6 is above 0.4"]),
        ({"track": {"method": "sorted"}}, {}, ["track.method", "bytetrack, ocsort, sort"]),
        ({"counts": {"interval_seconds": 0}}, {}, ["counts.interval_seconds", "a number of at least 1"]),
        ({"evaluate": {"iou": 0}}, {}, ["evaluate.iou: 0 is invalid; expected a number above 0, at most 1: "]),
        ({"media": {"per_job": 0}}, {}, ["media.per_job: 0 is invalid; expected: The largest number"]),
        ({"detect": {"calibration_media": [7, 7]}}, {}, ["[7, 7] is invalid; expected each entry once: "]),
        ({"network": {"first_label": 2}}, {}, ["network.first_label: 2 is invalid; expected one of 0, 1, null"]),
        ({"network": {"pixels": "rgb"}}, {}, ["network.pixels", "'rgb'", "rgb_0_to_1"]),
        ({"upload": {"version_id": 1, "version_number": 1}}, {}, ["upload.version_id", "both are set"]),
        *(
            (
                {"upload": {"version_id": 7}, "track": {"enabled": True}, "evaluate": {key: 7}},
                {},
                [f"upload.version_id, evaluate.{key}: 7 is both", "its own boxes would count as true"],
            )
            for key in ("truth_version", "track_truth_version")
        ),
        (
            {"upload": {"species_attribute": "Label", "confidence_attribute": "Label"}},
            {},
            ["upload.species_attribute, upload.confidence_attribute: 'Label' is in both"],
        ),
        (
            {"upload": {"track_type_id": 3, "track_length_attribute": "Confidence"}, "track": {"enabled": True}},
            {},
            ["upload.confidence_attribute, upload.track_length_attribute: 'Confidence' is in both"],
        ),
        *(
            ({"media": {key: value}}, {}, [f"media.{key}: {shown(value)}, without media.folder"])
            for key, value in (
                ("include", ["*.jpg"]),
                ("exclude", []),
                ("md5", True),
                ("changed_by", "content"),
            )
        ),
        ({"tator": None}, {}, ["tator", "missing"]),
        ({"img_size": 640}, {}, ["img_size", "640", "[img_max_side, img_min_side]"]),
        ({"type_id": 1, "box_type_id": 2}, {}, ["set twice"]),
        ({}, {"TATOR_PIPELINE_ARGS": "{keep: 1"}, ["TATOR_PIPELINE_ARGS is not JSON"]),
        ({}, {"TATOR_PIPELINE_ARGS": '{"detect": 3}'}, ["detect is 3", "object"]),
        ({}, {"TATOR_PIPELINE_ARGS": '{"detect": {}, "detect": {}}'}, ["TATOR_PIPELINE_ARGS: 'detect' is given twice"]),
        ({}, {"TATOR_PIPELINE_ARGS": '{"detect": {"bach_size": 3}}'}, ["detect.bach_size", "'batch_size'"]),
        ({}, {"TATOR_PIPELINE_ARGS": '{"detect": {"batch.size": 3}}'}, ["detect.'batch.size'", "'batch_size'"]),
        (
            {"upload": {"version": "Fish {2024}"}},
            {},
            ["upload.version: 'Fish {2024}' has text in braces", "another name"],
        ),
        ({"network": {"directory": "nets/{x}"}}, {}, ["network.directory", "has text in braces"]),
        ({}, {"TATOR_PIPELINE_ARGS": "[1]"}, ["TATOR_PIPELINE_ARGS is [1]; expected an object"]),
        ({}, {"TATOR_PIPELINE_ARGS": "null"}, ["TATOR_PIPELINE_ARGS is null; expected an object"]),
        ({"tator": {"media_ids": [True]}}, {}, ["tator.media_ids.0: true is invalid; expected a whole number"]),
        # YAML reads `version: 2024-01-01` and `no` like this.
        (
            {"upload": {"version": date(2024, 1, 1)}},
            {},
            ["upload.version: 2024-01-01 is invalid, as it is not in quotes; expected text: Name of the version"],
        ),
        ({"upload": {"version": False}}, {}, ["upload.version: false is invalid, as it is not in quotes"]),
        ({"detect": {"frame_range": date(2024, 1, 1)}}, {}, ["2024-01-01 is invalid; expected a list"]),
        ({"detect": {"keep_threshold": float("nan")}}, {}, ["detect.keep_threshold: .nan is invalid"]),
        ({"upload": {"version": [float("-inf"), {date(2024, 1, 1)}]}}, {}, ["[-.inf, {2024-01-01}] is invalid"]),
        # YAML reads `1e-3` as text.
        (
            {"detect": {"keep_threshold": "1e-3"}},
            {},
            ["'1e-3' is invalid, as it is text: a number has no quotes, and a point before its e (1.0e-3); expected a"],
        ),
        ({"detect": {"batch_size": "8"}}, {}, ["'8' is invalid, as it is text: a number has no quotes"]),
        ({}, {"TATOR_PROJECT_ID": "-1"}, ["tator.project_id: '-1' is invalid; expected a whole number"]),
        ({}, {"TATOR_PROJECT_ID": "1.5"}, ["tator.project_id: '1.5' is invalid; expected a whole number"]),
        ({"detect": {"tiles": {"width": 640, "whole": True}}}, {}, ["{'width': 640, 'whole': true}; expected width"]),
        # Keys that YAML reads as something else, such as `yes`.
        ({"mark": {True: 1}}, {}, ["mark.true: unknown key"]),
        ({"mark": {None: 1}}, {}, ["mark.null: unknown key"]),
        ({"mark": {date(2024, 1, 1): 1}}, {}, ["mark.2024-01-01: unknown key"]),
        ({"counts": {"attributes": {12: "MaxN"}}}, {}, ["counts.attributes: 12 is invalid, as it is not in quotes"]),
        ({"counts": {"attributes": {True: 5}}}, {}, ["counts.attributes.true: 5 is invalid"]),
    ],
)
def test_bad_input_names_key_value_and_expectation(config, environ, messages):
    text = refusal(config, environ)
    assert [message for message in messages if message not in text] == [], text


def test_missing_keys_are_all_named_at_once():
    text = refusal(base={})
    named = re.findall(r"- ([\w.]+): ", text)
    assert named == [
        "tator.host",
        "tator.project_id",
        "tator.media_ids",
        "upload.localization_type_id",
    ]


@pytest.mark.parametrize("value", ["", "two words", "line\n"])
def test_a_missing_or_malformed_token_is_named_and_not_shown(value):
    with pytest.raises(SettingsError, match="TATOR_AUTH_TOKEN") as caught:
        token.check_token({"TATOR_AUTH_TOKEN": value})
    assert not value or value not in str(caught.value)


@given(st.text())
def test_any_text_as_pipeline_arguments_is_accepted_or_refused(text):
    with contextlib.suppress(SettingsError):
        assert resolve(environ={"TATOR_PIPELINE_ARGS": text}) == resolve()


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        (["HTTPS_PROXY", "NO_PROXY", "AWS_CA_BUNDLE"], ["AWS_CA_BUNDLE", "HTTPS_PROXY", "NO_PROXY"]),
        (["https_proxy", "no_proxy"], ["https_proxy", "no_proxy"]),
        # Both spellings would be one key of the Secret for the pods; Python programs prefer lower case.
        (["HTTP_PROXY", "http_proxy", "PATH"], ["http_proxy"]),
        (["tator_project_id"], []),
    ],
)
def test_proxies_are_passed_to_jobs_as_the_environment_spells_them(environ, names):
    assert settings.variables_in_use(dict.fromkeys(environ, "x")) == names


def test_the_table_in_the_readme_names_every_key_and_variable():
    rows = re.findall(r"^\| `([^`]+)` \|", (ROOT / "config/README.md").read_text(), re.MULTILINE)
    keys = [f"{section}.{key}" for section, part in SCHEMA["properties"].items() for key in part["properties"]]
    assert rows == [*keys, *settings.VARIABLES]


def test_the_table_in_the_readme_has_the_descriptions_of_the_schema():
    table = re.findall(
        r"^\| `([a-z]+\.[a-z0-9_]+)` \| (.+?) \| (.+?) \| ", (ROOT / "config/README.md").read_text(), re.M
    )
    descriptions = {
        f"{section}.{key}": value["description"]
        for section, part in SCHEMA["properties"].items()
        for key, value in part["properties"].items()
    }
    assert {key: meaning for key, _, meaning in table} == descriptions


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True])
def test_values_that_are_not_numbers_are_refused(value):
    assert "detect.keep_threshold" in refusal({"detect": {"keep_threshold": value}})


@pytest.mark.parametrize("graph", ["graph.pb", "graph.onnx"])
def test_a_folder_with_a_name_that_is_too_long_is_left_to_the_check_of_files(graph):
    found = resolve({"network": {"directory": "x" * 300, "graph": graph}})
    assert network_settings.unfit_for_tensorrt(found) is None
    assert weight_files_in_folder(Path(found["network"]["directory"], graph)) == []


def test_keys_of_a_file_that_is_not_utf_8_are_checked(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_bytes("detect: {batch_size: 8}\n# Größe\ndetect: {}\n".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"'detect' is given twice \(lines 1 and 3\)"):
        run_settings.check_files([path])
