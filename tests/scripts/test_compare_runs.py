"""Two runs, or two versions, side by side."""

import errno
import os
import re

import pytest

from scripts.commands import compare_runs
from scripts.lib.errors import ServerError
from scripts.lib.evaluation.comparison import changes, media_in_tator, version_side
from scripts.lib.evaluation.truth import LabeledBox
from scripts.lib.files import read_json, write_json
from scripts.lib.pictures.colours import colour
from scripts.lib.server.api import Project
from scripts.lib.workflow.planning.media_files import move
from tests.browser import open_page
from tests.report_run import SIZE, FakeRun

pytestmark = pytest.mark.pages

HERE, NEAR, FAR = (0.0, 0.0, 10.0, 10.0), (1.0, 0.0, 10.0, 10.0), (50.0, 50.0, 10.0, 10.0)


def box(xywh, species="cod", score=0.9, frame=0):
    return LabeledBox((1, frame), xywh, species, score)


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ([box(HERE)], [box(NEAR, score=0.85)], ["same"]),
        ([box(HERE)], [box(NEAR, score=0.5)], ["rescored"]),
        ([box(HERE, score=0.9)], [box(NEAR, score=0.8)], ["rescored"]),  # by a little less than 0.1, in floats
        ([box(HERE)], [box(NEAR, "crab")], ["changed species"]),
        ([box(HERE)], [box(FAR)], ["appeared", "vanished"]),
        ([box(HERE)], [box(HERE, frame=1)], ["appeared", "vanished"]),
        ([box(HERE)], [box(HERE), box(NEAR, score=0.4)], ["same", "appeared"]),
        ([], [], []),
    ],
)
def test_kinds_of_changes(before, after, kinds):
    assert sorted(change.kind for change in changes(before, after, 0.5, 0.1)) == sorted(kinds)


@pytest.mark.browser
def test_two_runs(tmp_path, capsys):
    first, second = FakeRun(tmp_path / "first"), FakeRun(tmp_path / "second")
    first.add("<b>reef</b>.mp4", boxes=lambda frame: [(0, 0.9)])
    first.add("gone.mp4", frames=2)
    second.add("<b>reef</b>.mp4", boxes=lambda frame: [(1 if frame == 0 else 0, 0.6), (1, 0.7)])
    for run in (first, second):
        run.finish()
    out = tmp_path / "out"
    assert compare_runs.main([str(first.folder), str(second.folder / "results"), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out / 'compare.html'}\n"
    content = read_json(out / "compare.json")
    assert content["totals"] == {"same": 0, "rescored": 49, "changed species": 1, "appeared": 50, "vanished": 0}
    assert content["only_before"] == [2]
    assert content["species"][0] == {"name": "cod", "before": 50, "after": 49, "became": {"crab": 1}}
    changed = next(change for change in content["changes"] if change["kind"] == "changed species")
    assert (changed["frame"], changed["before"]["species"], changed["after"]["species"]) == (0, "cod", "crab")
    view = open_page(out / "compare.html")
    assert view.without_errors, view
    for text in (
        "<b>reef</b>.mp4",
        "1 media only before: 2",
        "1 changed species, 1 appeared",
        "Where they differ most",
    ):
        assert text in view.text, text


def test_a_run_and_a_version_that_people_edited(steps, tmp_path, capsys):
    run = FakeRun(tmp_path / "local", species=["cod", "crab"])
    run.add("clip.mp4", frames=3, boxes=lambda frame: [(0, 0.9)] if frame < 2 else [(0, 0.9), (1, 0.4)])
    run.finish()
    server = steps.server
    # The boxes of frame 0 and 1. The run read a smaller picture than Tator's.
    share = {"x": 8 / SIZE.width, "y": 20 / SIZE.height, "width": 30 / SIZE.width, "height": 25 / SIZE.height}
    for frame, species in ((0, "cod"), (1, "crab")):
        spec = {"media_id": 1, "type": server.localization_type_id, "version": server.version_id, "frame": frame,
                "attributes": {"Species": species, "Confidence": 0.9}, **share}  # fmt: skip
        steps.api.create_localization_list(server.project_id, [spec])
    box_type = ["--type", str(server.localization_type_id)]
    where = ["--host", f"{server.host}/rest/", "--project", str(server.project_id), *box_type]
    sides = [str(run.folder), f"version:{server.version_id}"]
    assert compare_runs.main([*sides, *where, "--out", str(tmp_path / "out")]) == 0
    totals = read_json(tmp_path / "out/compare.json")["totals"]
    assert totals == {"same": 1, "rescored": 0, "changed species": 1, "appeared": 0, "vanished": 2}
    assert "name that as <code>--threshold</code>" in (tmp_path / "out/compare.html").read_text()
    # A version has no box that scores less than upload.threshold.
    assert compare_runs.main([*sides, *where, "--threshold", "0.5", "--out", str(tmp_path / "out")]) == 0
    content = read_json(tmp_path / "out/compare.json")
    assert (content["totals"], content["threshold"]) == (totals | {"vanished": 1}, 0.5)
    page = (tmp_path / "out/compare.html").read_text()
    assert "Boxes of a run that score less than 0.5 are left out" in page
    assert "--threshold" not in page
    assert compare_runs.main([*sides, "--out", str(tmp_path / "out")]) == 1
    assert "expected version:NUMBER, with --host" in capsys.readouterr().err
    assert compare_runs.main([*sides, *where[2:], "--host", "me:secret@t.org"]) == 1
    assert "contains a user name or password" in (complaint := capsys.readouterr().err)
    assert "secret" not in complaint
    assert compare_runs.main([*sides, *where[2:], "--host", "t.org"]) == 1
    assert "--host: 't.org' is invalid; expected: Address of the Tator site" in capsys.readouterr().err
    for option in ("--project", "--type", "--media"):
        with pytest.raises(SystemExit):
            compare_runs.main([*sides, *where, option, "9" * 30])
        assert f"{option}: {'9' * 30} is invalid; expected a whole number from 1 to" in capsys.readouterr().err
    where += ["--out", str(tmp_path / "none")]
    empty = steps.api.create_version(server.project_id, {"name": "empty"}).id
    version_side = f"version:{server.version_id}"
    for wrong, message in (
        ([version_side, "version:999", "--media", "1"], "the project has no 999; it has"),
        ([f"version:{empty}", version_side, "--media", "1"], f"version {empty} holds no box"),
        ([str(run.folder), f"version:{empty}"], f"version {empty} holds no box"),
        ([version_side, version_side, "--media", "2"], f"version {server.version_id} holds no box"),
        (
            [version_side, version_side, "--media", "1", "77"],
            f"--media: version {server.version_id} has no media 77; it has 1",
        ),
        (
            [version_side, version_side, "--media", "1", "--species-attribute", "Kind"],
            "has no attribute 'Kind'; it has 'Species', 'Co",
        ),
        ([str(run.folder), str(tmp_path / "nowhere")], "has no results/summary.json"),
    ):
        assert compare_runs.main([*where, *wrong]) == 1
        error = capsys.readouterr().err
        assert (message in error, "Traceback" in error) == (True, False), error
    where[5] = "999"  # the box type
    assert compare_runs.main([*where, version_side, version_side, "--media", "1"]) == 1
    assert "--type: the project has no 999" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_runs_without_a_common_media_are_refused(tmp_path, capsys):
    runs = [FakeRun(tmp_path / name, species=["cod"]) for name in ("one", "two", "empty")]
    runs[0].add("a.mp4", frames=1)
    runs[1].add("a.mp4", frames=1)
    runs[1].add("b.mp4", frames=1)
    for run in runs:
        run.finish()
    one, two, empty = (str(run.folder) for run in runs)
    assert compare_runs.main([one, empty, "--out", str(tmp_path / "none")]) == 1
    error = capsys.readouterr().err
    assert f"{one} (media 1) and {empty} (media none) have no media in common" in error
    assert compare_runs.main([one, two, "--media", "2", "--out", str(tmp_path / "none")]) == 1
    assert f"--media: {one} has no media 2; it has 1" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


@pytest.fixture
def two_runs(tmp_path):
    """Return the folders of two runs, in which all boxes have other species, and a folder to write into."""
    runs = [FakeRun(tmp_path / name) for name in ("first", "second")]
    for species, run in enumerate(runs):
        for name in ("a.mp4", "b.mp4"):
            run.add(name, frames=3, boxes=lambda _, species=species: [(species, 0.9)])
        run.finish()
    return *(run.folder for run in runs), tmp_path / "out"


def test_only_the_named_media_of_two_runs_are_compared(two_runs):
    *runs, out = two_runs
    assert compare_runs.main([*map(str, runs), "--media", "2", "--out", str(out)]) == 0
    content = read_json(out / "compare.json")
    assert ([line["media_id"] for line in content["media"]], content["totals"]["changed species"]) == ([2], 3)
    assert (content["only_before"], content["only_after"]) == ([], [])
    assert compare_runs.main([*map(str, runs), "--media", "2", "--media", "1", "2", "--out", str(out)]) == 0
    assert [line["media_id"] for line in read_json(out / "compare.json")["media"]] == [2, 1]


def test_the_usual_folder_is_checked_too(two_runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "comparison").touch()
    with pytest.raises(SystemExit):
        compare_runs.main([*map(str, two_runs[:2])])
    assert "--out: 'comparison': 'comparison' is not a folder" in capsys.readouterr().err


def test_a_full_disk_is_named(two_runs, monkeypatch, capsys):
    def extend(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(compare_runs.ListOnDisk, "extend", extend)
    *runs, out = two_runs
    assert compare_runs.main([*map(str, runs), "--out", str(out)]) == 1
    assert capsys.readouterr().err == f"{out}: No space left on device\n"


def test_pictures_lead_only_to_media_of_the_table(two_runs, monkeypatch):
    monkeypatch.setattr(compare_runs, "ROWS_SHOWN", 1)
    *runs, out = two_runs
    assert compare_runs.main([*map(str, runs), "--out", str(out)]) == 0
    page = (out / "compare.html").read_text()
    assert page.count("data:image/jpeg") > 1
    assert set(re.findall(r'href="#([^"]+)"', page)) == set(re.findall(r'id="([^"]+)"', page)) == {"media-1"}


@pytest.mark.parametrize("option", ["--iou", "--score-change", "--threshold"])
@pytest.mark.parametrize("value", ["nan", "2", "-1", "much"])
def test_shares_are_from_0_to_1(option, value, capsys):
    with pytest.raises(SystemExit):
        compare_runs.main(["a", "b", f"{option}={value}"])
    assert f"{option}: '{value}'; expected a number from 0 to 1" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["previews/1.zip", "detections/1.json"])
def test_a_file_that_was_cut_is_named(two_runs, name, capsys):
    *runs, out = two_runs
    path = runs[0] / "results" / name
    path.write_bytes(path.read_bytes()[:100])
    assert compare_runs.main([*map(str, reversed(runs)), "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert f"{path}: it " in error
    assert "Traceback" not in error


def test_a_folder_without_results_is_refused(tmp_path, capsys):
    assert compare_runs.main([str(tmp_path), str(tmp_path)]) == 1
    assert "has no results/summary.json" in capsys.readouterr().err


def test_a_species_has_the_same_colour_as_on_the_page_of_the_run(tmp_path):
    """Also if other species of the network were not found, so that the species is not among the first."""
    species = ["cod", "flatfish", "crab", "shark"]
    runs = [FakeRun(tmp_path / name, species=species) for name in ("first", "second")]
    for run, label in zip(runs, (2, 3), strict=True):
        run.add("clip.mp4", boxes=lambda frame, label=label: [(label, 0.9)])
        run.finish()
    assert compare_runs.main([*(str(run.folder) for run in runs), "--out", str(tmp_path / "out")]) == 0
    pages = [tmp_path / "out" / "compare.html", *(run.page() for run in runs)]
    keys = [dict(re.findall(r'background:(#\w+)"></i><bdi>(\w+)', page.read_text())) for page in pages]
    compared, first, second = ({name: found for found, name in key.items()} for key in keys)
    assert compared == {"crab": colour(2), "shark": colour(3)}
    assert (first, second) == ({"crab": compared["crab"]}, {"shark": compared["shark"]})


def test_files_in_sub_folders_are_read_and_the_json_file_is_the_same(tmp_path):
    runs = [FakeRun(tmp_path / name) for name in ("one", "two")]
    for run, score in zip(runs, (0.9, 0.6), strict=True):
        run.add("é.jpg", frames=1, kind="image", boxes=lambda _, score=score: [(0, score)])
        run.add("b.jpg", frames=1, kind="image", boxes=lambda _: [])
    runs[0].add("c.jpg", frames=1, kind="image")
    for run in runs:
        run.finish()
    assert move(runs[1].folder, in_folders=True)
    assert compare_runs.main([*(str(run.folder) for run in runs), "--out", str(tmp_path / "out")]) == 0
    content = read_json(tmp_path / "out" / "compare.json")
    assert content["totals"]["rescored"] == 1
    assert (content["only_before"], content["only_after"]) == ([3], [])
    assert [line["media_id"] for line in content["media"]] == [1, 2]
    write_json(tmp_path / "whole.json", content)
    assert (tmp_path / "out" / "compare.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert (tmp_path / "out" / "compare.html").read_text().count("data:image/jpeg") == 1


@pytest.mark.parametrize("state", ["missing", "failed", "skipped"])
@pytest.mark.parametrize("side", ["before", "after"])
def test_a_media_that_one_run_did_not_analyse_is_named(tmp_path, side, state):
    runs = [FakeRun(tmp_path / name) for name in ("read", "unread")]
    for run in runs:
        run.add("x.mp4", frames=2)
    runs[0].add("reef.mp4", frames=2)
    runs[1].add("reef.mp4", state=state, reason="its job was killed", frames=0)
    for run in runs:
        run.finish()
    sides = [str(run.folder) for run in (runs if side == "after" else reversed(runs))]
    assert compare_runs.main([*sides, "--out", str(tmp_path / "out")]) == 0
    content = read_json(tmp_path / "out/compare.json")
    assert content["totals"] == {"same": 2, "rescored": 0, "changed species": 0, "appeared": 0, "vanished": 0}
    assert [line["media_id"] for line in content["media"]] == [1]
    assert {name: content[f"not_analysed_{name}"] for name in ("before", "after")} == {"before": [], "after": []} | {
        side: [2]
    }
    assert f"1 media not analysed {side}: 2." in (tmp_path / "out/compare.html").read_text()


def test_only_frames_that_both_runs_analysed_are_compared(tmp_path):
    runs = [FakeRun(tmp_path / name) for name in ("all", "tenth")]
    runs[0].add("reef.mp4")
    runs[1].add("reef.mp4", boxes=lambda frame: [] if frame % 10 else [(0, 0.9)])
    for run in runs:
        run.finish()
    record = runs[1].folder / "results/detections/1.json"
    content = read_json(record)
    content["asked"]["frame_stride"] = 10
    content["frames"]["lost"] = [[20, 24]]
    write_json(record, content)
    assert compare_runs.main([*(str(run.folder) for run in runs), "--out", str(tmp_path / "out")]) == 0
    found = read_json(tmp_path / "out/compare.json")
    assert (found["totals"]["same"], found["totals"]["vanished"]) == (4, 0)
    assert found["boxes_in_other_frames"] == {"before": 46, "after": 0}
    assert "46 boxes before and 0 after are in frames" in (tmp_path / "out/compare.html").read_text()


def test_species_with_composed_and_decomposed_accents_are_the_same(tmp_path):
    runs = [FakeRun(tmp_path / name, species=[species]) for name, species in (("a", "T\u00f6"), ("b", "To\u0308"))]
    for run in runs:
        run.add("reef.mp4", frames=1)
        run.finish()
    assert compare_runs.main([*(str(run.folder) for run in runs), "--out", str(tmp_path / "out")]) == 0
    assert read_json(tmp_path / "out/compare.json")["totals"]["same"] == 1


def test_a_media_without_a_size_in_tator_is_refused_only_with_boxes(steps, media_folder):
    server = steps.server
    unsized = server.add_media("unsized.mp4", width=None, height=None)
    for media_id in (1, unsized):
        spec = {"media_id": media_id, "type": server.localization_type_id, "version": server.version_id, "frame": 0,
                "attributes": {}, "x": 0.1, "y": 0.1, "width": 0.1, "height": 0.1}  # fmt: skip
        steps.api.create_localization_list(server.project_id, [spec])
        project = Project(server.host, server.project_id)
        side = version_side(project, server.version_id, [1, unsized], type_id=server.localization_type_id,
                            species="Species", confidence="Confidence")  # fmt: skip
        assert len(side.boxes(1)) == 1
        if media_id == 1:
            assert side.boxes(unsized) == []
    with pytest.raises(ServerError, match=f"media {unsized}: Tator has boxes but no size of it"):
        side.boxes(unsized)


def test_a_media_deleted_while_versions_are_compared(steps, monkeypatch):
    project = Project(steps.server.host, steps.server.project_id)
    listed = project.each_media
    media = media_in_tator(project, [1])
    monkeypatch.setattr(project, "each_media", lambda ids: (one for one in listed(ids) if one["id"] != 1))
    with pytest.raises(ServerError, match="media 1 was deleted while it was compared; run again"):
        media[1]
    with pytest.raises(KeyError):
        media[2]
