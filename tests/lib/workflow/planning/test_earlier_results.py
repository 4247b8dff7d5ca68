"""Results that the present settings do not make are moved away, and nothing else is."""

import re
from datetime import datetime

import pytest

from scripts.lib.workflow.planning.earlier_results import move, optional_results
from scripts.lib.workflow.planning.run_plan import RunPlan
from tests.lib.workflow.configuration.resolved_settings import ROOT, resolve

NOW = datetime(2026, 11, 30, 20, 9, 36)
# Results of every run.
ALWAYS = {
    "results/counts.csv",
    "results/counts_by_interval.csv",
    "results/detections.coco.json",
    "results/detections.csv",
    "results/detections/{media_id}.csv",
    "results/detections/{media_id}.json",
    "results/outcome.txt",
    "results/overview.html",
    "results/previews/{media_id}.zip",
    "results/summary.json",
    "results/summary.txt",
}


def plan_of(**config):
    return RunPlan(resolve(config), by_storage=False)


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_every_result_of_the_rules_is_known():
    texts = [path.read_text() for path in (ROOT / "rules").glob("*.smk")]
    named = {name for text in texts for name in re.findall(r'"(results/[^"]+)"', text)}
    assert named == ALWAYS | set(optional_results(plan_of()))


def test_results_of_other_settings_are_moved(tmp_path):
    stale = ["results/yolo/data.yaml", "results/tracks/7.csv", "results/tracks/002/1002.json", "results/crops/7/a.jpg"]
    kept = ["results/detections.csv", "results/cvat/1.xml", "results/marks.json", "results/uploads/7.json"]
    own = ["results/notes.txt", "results/tracks/mine.csv", "results/yolo11/a.txt", "results/crops/best/a.jpg"]
    make(tmp_path, *stale, *kept, *own)
    message = move(plan_of(export={"cvat": True}), tmp_path, NOW)
    earlier = "results/earlier/2026-11-30_20-09-36"
    assert message == (
        f"results that these settings do not make were moved to {earlier}/: results/tracks, results/yolo, results/crops"
    )
    moved = [name.replace("results/", f"{earlier}/", 1) for name in stale]
    assert files(tmp_path) == sorted([*moved, *kept, *own])
    assert move(plan_of(export={"cvat": True}), tmp_path, NOW) is None


@pytest.mark.parametrize(
    "arguments",
    [["results/yolo", "-n"], ["./results/yolo/"], ["results/yolo/data.yaml"], ["--cores", "2", "export_yolo"]],
)
def test_results_that_the_command_line_names_stay(tmp_path, arguments):
    make(tmp_path, "results/yolo/data.yaml", "results/cvat/1.xml")
    message = move(plan_of(), tmp_path, NOW, arguments)
    assert message.endswith("/: results/cvat")
    assert (tmp_path / "results/yolo/data.yaml").is_file()


@pytest.mark.parametrize(
    ("config", "made"),
    [
        ({"evaluate": {"truth_version": 3}}, {"results/evaluation.json", "results/evaluation.zip"}),
        (
            {"track": {"enabled": True}, "report": {"tracks": 0}},
            {f"results/tracks/{{media_id}}.{x}" for x in ("csv", "json")},
        ),
        ({"counts": {"attributes": {"cod": "MaxN"}}}, {"results/counts_in_tator.json"}),
    ],
)
def test_results_of_these_settings_stay(config, made):
    uploads = {"results/uploads/{media_id}.json", "results/marks.json"}
    assert {path for path, is_made in optional_results(plan_of(**config)).items() if is_made} == made | uploads
