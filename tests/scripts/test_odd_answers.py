"""Answers of Tator with an unexpected value: a clear message or a media's state, and the others are processed."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

import pytest

from scripts.commands.select_media import FIELDS, MediaFilter, select_media
from scripts.get_attributes import get_attributes
from scripts.get_truth import get_truth
from scripts.lib.errors import PipelineError
from scripts.lib.evaluation.comparison import changes, version_side
from scripts.lib.files import read_json
from scripts.lib.registering.algorithms import AlgorithmProject
from scripts.lib.registering.registration import AlgorithmSpec, make_plan
from scripts.lib.server.api import Project
from scripts.match_media import FIELDS as MATCHED
from tests.scripts.tator_steps import MARK, Steps
from tests.tator_server.seed import attribute as seed_attribute
from tests.workflow import ROOT

# Number of cases, of some 25,000; each takes some 40 ms.
CASES, SEED = int(os.environ.get("TATOR_TEST_ODD_ANSWERS", "120")), 7
# JSON texts, valid or not; None leaves out the key.
VALUES = [
    "null", "true", "0", "-1", "1.5", "1e308", "1e999", "NaN", "-Infinity", "9" * 400, "9" * 5000, '""', '"a\\u0000b"',
    '"\\u001b[2J"', '"\\ud800"', f'"{"x" * 300_000}"', "[]", "{}", "[null]", "[[]]", "[{}]", '{"":null}', "[1]",
    "[" * 800 + "]" * 800, "[" * 100_000 + "]" * 100_000, None,
]  # fmt: skip
# In bytes; longer than any list of a project's types or versions.
LONGEST_MESSAGE = 3000
MAX_N = "MaxN cod"


def results_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return state and reason of media 1 and 2 in a record of marks or counts."""
    state = {media_id: "ready" for media_id in record["media_ids"]} | dict.fromkeys(record["missing"], "missing")
    reasons = record["failed"]
    return [{"state": state.get(one, "failed"), "reason": reasons.get(str(one))} for one in (1, 2)]


def places(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each value in a JSON answer; rows of the answer's list are named by their ids."""
    yield at
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from places(inside, (*at, key))
    elif isinstance(value, list):
        for number, inside in enumerate(value[:2]):
            is_row = not at and isinstance(inside, dict) and "id" in inside
            yield from places(inside, (*at, f"id={inside['id']}" if is_row else number))


@dataclass
class Case:
    """A step, and the operation whose answer is changed."""

    run: Callable[[], list[dict[str, Any]]]
    operation: str
    answer: Any
    media: int | None = None


@pytest.fixture
def cases(steps: Steps, impatient: None) -> dict[str, Case]:  # noqa: C901, PLR0915 - many small ones
    """Return the steps of a run that has boxes and marks in Tator already."""
    steps.resolve(1, 2)
    track_type = steps.add_track_type()
    steps.prepare(track_type_id=track_type, track_length_attribute="Length")
    for media_id in (1, 2):
        rows = ["0,10,20,30,40,0.9,1", "3,50,20,30,40,0.8,1"]
        steps.detected(media_id, rows)
        steps.tracked(media_id, rows)
    steps.upload_shared(1, 2)
    steps.upload_tracks(1, 2, code_hash="1")
    api, project, where = steps.api, steps.server.project_id, steps.where
    version = read_json(steps.folder / "destination.json")["version_id"]
    records = [steps.folder / f"record_{media_id}.json" for media_id in (1, 2)]
    settings = {
        "upload": {
            "localization_type_id": steps.server.localization_type_id, "species_attribute": "Species",
            "confidence_attribute": "Confidence", "version": "Object Detector", "version_id": None,
            "version_number": None, "track_type_id": track_type, "track_length_attribute": "Length",
        },
        "track": {"enabled": True}, "media": {"kind": "any"}, "mark": {"attribute": MARK}, "counts": {"attributes": {}},
        "evaluate": dict.fromkeys(("truth_version", "track_truth_version", "truth_file", "track_truth_file")),
        "network": {"directory": None, "archive": None, "graph": "graph.onnx"}, "detect": {"engine": "openvino"},
        "tator": {"ca_file": None},
    }  # fmt: skip

    def uploaded() -> list[dict[str, Any]]:
        shutil.rmtree(steps.folder / "finished", ignore_errors=True)
        return steps.upload_shared(1, 2)

    def tracks_uploaded() -> list[dict[str, Any]]:
        shutil.rmtree(steps.folder / "finished_tracks", ignore_errors=True)
        return steps.upload_tracks(1, 2, code_hash="1")

    def truth() -> list[dict[str, Any]]:
        get_truth(
            truth_file=[], records=records, train_ini=steps.folder / "train.ini", truth=steps.folder / "truth.csv",
            **where, localization_type_id=steps.server.localization_type_id, species_attribute="Species",
            truth_version=version,
        )  # fmt: skip
        return []

    def attributes() -> list[dict[str, Any]]:
        get_attributes(records=records, **where, mark_attribute=MARK, attributes=steps.folder / "attributes.json")
        (steps.folder / "attributes.txt").write_text(str(read_json(steps.folder / "attributes.json")))
        return []

    def registered() -> list[dict[str, Any]]:
        text = (ROOT / "deploy" / "argo" / "single-pod.yaml").read_text()
        make_plan(where["host"], project, AlgorithmSpec(name="Detect", manifest=text), lambda _, __: settings)
        return []

    def stored() -> list[dict[str, Any]]:
        AlgorithmProject(where["host"], project).store_manifest("kind: Workflow")
        return []

    def selected() -> list[dict[str, Any]]:
        wanted = MediaFilter(section=folder, attributes={MARK: "No"}, unmarked=MARK)
        chosen = select_media(where["host"], project, wanted)
        (steps.folder / "selected.txt").write_text("\n".join([*map(str, chosen.media_ids), *chosen.lines()]))
        assert all(type(number) is int for number in chosen.media_ids)
        return []

    def compared() -> list[dict[str, Any]]:
        side = version_side(
            Project(where["host"], project), version, [1, 2], type_id=steps.server.localization_type_id,
            species="Species", confidence="Confidence",
        )  # fmt: skip
        for media_id in side.media:
            list(changes(side.boxes(media_id), side.boxes(media_id), 0.5, 0.1))
        return []

    def prepared(**settings: Any) -> list[dict[str, Any]]:
        steps.prepare(track_type_id=track_type, **settings)
        return []

    def marked() -> list[dict[str, Any]]:
        return results_of(steps.mark(1, 2))

    numbers = count(1)

    def counted() -> list[dict[str, Any]]:
        return results_of(steps.count({media_id: next(numbers) for media_id in (1, 2)}, "cod", MAX_N))

    def matched(*media_ids: int) -> list[dict[str, Any]]:
        found = steps.match([1, 2], media_ids)
        return [{**one, "state": {"matched": "ready"}.get(one["state"], one["state"])} for one in found]

    [video] = [one for one in steps.server.all("media_type") if one["id"] == steps.server.video_type_id]
    kinds = [*video["attribute_types"], seed_attribute(MAX_N, "int", default=-1)]
    steps.server.change("media_type", video["id"], attribute_types=kinds)
    everything = api.get_media_list(project, fields=MATCHED)

    media, versions = api.get_media_list_by_id(project, {"ids": [1, 2]}), api.get_version_list(project)
    media_types, box_types = api.get_media_type_list(project), api.get_localization_type_list(project)
    boxes = api.get_localization_list(project, media_id=[1], version=version)
    tracks = api.get_state_list(project, media_id=[1], version=[version])
    # A picture by reference: its address is in the media.
    referred = steps.server.add_media(
        "a.jpg", dtype="image", media_files={"image": [{"path": f"{where['host']}/none.jpg", "resolution": [9, 16]}]}
    )  # fmt: skip
    steps.resolve(referred)
    reference = api.get_media_list_by_id(project, {"ids": [referred]})
    steps.server.add("section", project=project, name="First", path="First")  # number 1, with media 1 and 2
    folder = steps.server.add("section", project=project, name="Cruise", path="Cruise")
    for name in ("a.mp4", "b.mp4"):
        steps.server.add_media(name, primary_section=folder, num_frames=9, fps=2.0)
    listed = api.get_media_list(project, section=folder, fields=FIELDS)
    return {
        "resolve": Case(lambda: steps.resolve(1, 2), "GetMediaListById", media),
        "resolve by type": Case(lambda: steps.resolve(1, 2, skip_processed=True), "GetMediaTypeList", media_types),
        "resolve another": Case(lambda: steps.resolve(1, 99), "GetMedia", media[0]),
        "prepare": Case(prepared, "GetLocalizationTypeList", box_types),
        "prepare by name": Case(prepared, "GetVersionList", versions),
        "prepare by id": Case(lambda: prepared(version_id=version), "GetVersionList", versions),
        "prepare by number": Case(lambda: prepared(version_number=1), "GetVersionList", versions),
        "upload": Case(uploaded, "GetLocalizationList", boxes, media=1),
        "count": Case(lambda: steps.upload_shared(1, 2), "GetLocalizationCount", 2, media=1),
        "prepare tracks": Case(prepared, "GetStateTypeList", api.get_state_type_list(project)),
        "upload tracks": Case(tracks_uploaded, "GetStateList", tracks, media=1),
        "boxes of tracks": Case(tracks_uploaded, "GetLocalizationList", boxes, media=1),
        "count tracks": Case(tracks_uploaded, "GetStateCount", 1, media=1),
        "truth": Case(truth, "GetLocalizationList", boxes, media=1),
        "attributes": Case(attributes, "GetMediaListById", media),
        "sections": Case(attributes, "GetSectionList", api.get_section_list(project)),
        "mark": Case(marked, "GetMediaListById", media),
        "write counts": Case(counted, "GetMediaListById", media),
        "write counts by type": Case(counted, "GetMediaTypeList", api.get_media_type_list(project)),
        "match": Case(matched, "GetMediaList", everything),
        "match by ids": Case(lambda: matched(1, 2), "GetMediaListById", media),
        "match by type": Case(matched, "GetMediaTypeList", media_types),
        "download": Case(lambda: [steps.download(1)], "GetDownloadInfo", [{"key": "", "url": ""}]),
        "reference": Case(lambda: [steps.download(referred)], "GetMediaListById", reference),
        "select": Case(selected, "GetMediaList", listed),
        "select by type": Case(selected, "GetMediaTypeList", media_types),
        "select by section": Case(selected, "GetSectionList", api.get_section_list(project)),
        "compare": Case(compared, "GetLocalizationList", boxes, media=1),
        "compare media": Case(compared, "GetMediaListById", media),
        "compare by type": Case(compared, "GetLocalizationTypeList", box_types),
        "compare by version": Case(compared, "GetVersionList", versions),
        "compare counts": Case(compared, "GetLocalizationCount", 2, media=1),
        "upload address": Case(stored, "GetUploadInfo", api.get_upload_info(project)),
        "stored manifest": Case(stored, "GetDownloadInfo", [{"key": "", "url": ""}]),
        "kept manifest": Case(stored, "SaveAlgorithmManifest", {"url": ""}),
        "project": Case(registered, "GetProject", api.get_project(project)),
        "user": Case(registered, "Whoami", api.whoami()),
        "register by version": Case(registered, "GetVersionList", versions),
        "register by type": Case(registered, "GetMediaTypeList", media_types),
        "register by track type": Case(registered, "GetStateTypeList", api.get_state_type_list(project)),
        "register by box type": Case(registered, "GetLocalizationTypeList", box_types),
    }  # fmt: skip


def test_an_odd_value_anywhere_is_a_clear_message_and_stops_no_other_media(
    cases: dict[str, Case], steps: Steps, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    sound = {path: path.read_bytes() for path in steps.folder.iterdir() if path.is_file()}
    draw, outcomes = Random(SEED), []
    for _ in range(CASES):
        name = draw.choice(list(cases))
        case = cases[name]
        path, value = draw.choice(list(places(case.answer))), draw.choice(VALUES)
        if value is None and not path:
            continue
        for kept, content in sound.items():
            kept.write_bytes(content)
        steps.server.clear_faults()
        steps.server.fault(
            "odd_answer", operation=case.operation, path=path, json=value, media=case.media, times=None
        )  # fmt: skip
        caplog.clear()
        where = f"{name}: {'.'.join(map(str, path))} is {str(value)[:20]}"
        outcomes.append(outcome(name, case, path, where))
        unexpected = [record for record in caplog.records if record.exc_info]
        assert not unexpected, (where, unexpected)
    assert 10 < sum(outcomes) < len(outcomes)  # some are refused, some accepted


def outcome(name: str, case: Case, path: tuple[str | int, ...], where: str) -> bool:
    """Run a case, check its results, and return whether anything was refused."""
    # A text in place of a whole answer counts as a fault of the server: it is retried, and concerns all media.
    of_rows = ("resolve", "mark", "write counts", "match", "match by ids")
    concerns_one = (name in ("upload", "upload tracks") and path != ()) or (name in of_rows and path[:1] == ("id=1",))
    message = ""
    try:
        results = case.run()
    except PipelineError as fault:
        results, message = [], str(fault)
    if not results and message:
        # If the list of all media is not JSON, all media are affected; lists by ids are shorter.
        hides_all = name == "match" and "JSON that cannot be read" in message
        assert hides_all or not concerns_one, (where, message)
        assert len(message.encode()) < LONGEST_MESSAGE, where  # also: it can be encoded as UTF-8
        return True
    for result in results:
        assert "unexpected" not in (result["reason"] or ""), (where, result)
    if concerns_one:
        assert results[1]["state"] in ("ready", "verified"), (where, results[1])
    return bool(results) and results[0]["state"] not in ("ready", "verified")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("prepare by name", ()), "3", "list versions: Tator's answer cannot be used: it is 3, expected a list"),
        (("truth", (0, "x")), '"left"', r"list boxes of media 1: .*x of localization \d+ is 'left', expected a number"),
        (("truth", (0, "attributes")), "[1]", r"attributes of localization \d+ is \[1\], expected an object"),
        (("prepare", ()), "[" * 100_000 + "]" * 100_000, "list localization types: .* JSON that cannot be read"),
    ],
    ids=["list", "place", "attributes", "nested"],
)
def test_the_message_names_the_value(
    cases: dict[str, Case], steps: Steps, place: tuple[str, tuple[str | int, ...]], value: str, message: str
) -> None:
    name, path = place
    case = cases[name]
    steps.server.fault("odd_answer", operation=case.operation, path=path, json=value, media=case.media, times=None)
    with pytest.raises(PipelineError, match=message):
        case.run()


def test_a_record_that_cannot_be_read_does_not_hide_the_others(cases: dict[str, Case], steps: Steps) -> None:
    nested = "[" * 100_000 + "]" * 100_000
    steps.server.fault("odd_answer", operation="GetMediaListById", path=["id=1", "fps"], json=nested, times=None)
    odd, sound = steps.resolve(1, 2)
    assert (odd["state"], sound["state"]) == ("unsupported", "ready")
    assert "JSON that cannot be read" in odd["reason"]


def test_a_type_that_cannot_be_used_stops_only_its_media(cases: dict[str, Case], steps: Steps) -> None:
    picture = steps.server.add_media("a.jpg", dtype="image")
    order = {"path": [f"id={steps.server.image_type_id}", "attribute_types"], "json": '["a"]'}
    steps.server.fault("odd_answer", operation="GetMediaTypeList", times=None, **order)
    odd, sound = steps.resolve(picture, 2)
    assert (odd["state"], sound["state"]) == ("unsupported", "ready")
    assert f"media type {steps.server.image_type_id}: " in odd["reason"]
    assert "an attribute is 'a', expected an object" in odd["reason"]


@pytest.mark.parametrize(
    ("key", "value", "shown"), [("name", None, "null"), ("name", "null", "null"), ("id", "{}.0", '"a.mp4"')]
)
def test_a_media_is_selected_by_a_whole_number_and_without_a_name(
    cases: dict[str, Case], steps: Steps, key: str, value: str | None, shown: str
) -> None:
    case = cases["select"]
    number = case.answer[0]["id"]
    text = value if value is None else value.format(number)
    steps.server.fault("odd_answer", operation=case.operation, path=[f"id={number}", key], json=text, times=None)
    case.run()
    selected = (steps.folder / "selected.txt").read_text()
    assert selected.startswith(f"{number}\n{number + 1}\n")
    assert f"for example {number} {shown}, " in selected


@pytest.mark.parametrize(
    "address",
    ['"http://[::1"', '"http://\\ud800/"', '"//"', "3", None],
    ids=["brackets", "half", "none", "3", "left out"],
)
def test_a_reference_whose_address_became_odd_is_no_longer_listed(
    cases: dict[str, Case], steps: Steps, address: str | None
) -> None:
    case = cases["reference"]
    path = [f"id={case.answer[0]['id']}", "media_files", "image", 0, "path"]
    steps.server.fault("odd_answer", operation=case.operation, path=path, json=address, times=None)
    with pytest.raises(PipelineError, match=r"Tator no longer lists the image file .* run again with --forcerun"):
        case.run()


@pytest.mark.parametrize("name", ["write counts by type", "match by type"])
def test_an_odd_media_type_is_a_fault_of_its_media(cases: dict[str, Case], steps: Steps, name: str) -> None:
    path = [f"id={steps.server.video_type_id}", "attribute_types", 0, "name"]
    steps.server.fault("odd_answer", operation="GetMediaTypeList", path=path, json="[1]", times=None)
    for result in cases[name].run():
        assert result["state"] == "failed"
        assert "the name of an attribute is [1], expected text" in result["reason"]
