"""Odd names of species, media, sections, attributes and versions, in each file that a run writes for others."""

import csv
import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from defusedxml.ElementTree import parse  # type: ignore[import-untyped]
from pyarrow import parquet

from scripts.conclude import faults
from scripts.export_counts import export_counts
from scripts.export_cvat import export_cvat
from scripts.export_label_studio import export_label_studio
from scripts.export_megadetector import export_megadetector
from scripts.export_parquet import export_parquet
from scripts.export_tracks import export_tracks
from scripts.export_yolo import export_yolo
from scripts.lib.evaluation.truth import LabeledBox, read_truth, write_truth
from scripts.lib.files import read_json, write_json
from scripts.lib.graphs import train_ini as train
from scripts.lib.records.summary_file import read_lines
from scripts.lib.text import csv_text
from scripts.lib.text.display_text import printable, without_commands
from scripts.merge_detections import merge_detections
from scripts.tabulate_media import tabulate_media
from tests.report_run import FakeRun

pytestmark = pytest.mark.pages

# Not allowed in texts that people open: commands for terminals, marks that reverse text, other line ends.
COMMANDS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufffe\uffff\U000e0000-\U000e007f]"
)
# Names that train.ini can hold: without commas and line breaks.
SPECIES = [
    "\x1b[2Jcod\x1b]0;owned\x07",
    "flat\u202ehsif\u2066",
    "cr\x9b2Jab\b",
    '=HYPERLINK("http://evil.example";"cod")',
    "+1+cmd|' /C calc'!A0",
    "-2",
    "@SUM(1)",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "]]><!--&lt;&amp;'\"'x",
    "no\ufffecharacter\uffff\ufeff",
    "tag\U000e0041\U000e0042",
    "{{ 7 * 7 }} {% raw %} %s {0} ${x} $a_1$",
    "../../etc/passwd",
    "__import__('os'): [a b]: - x",
    "日本 é",
]
# Names that JSON of a server and files of a folder can have as well.
ANY = [
    *SPECIES,
    "one\rtwo",
    "\r",
    "\r\n",
    "one\ntwo\n",
    "a,b;c\td",
    "u\u2028v\u2029w\x85x\x0by\x0cz",
    '"',
    "x" * 150_000,
]
CUT = "x" * 9990 + " ... (cut)"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> FakeRun:
    """Return a run with media of odd names; each has boxes of every species."""
    run = FakeRun(tmp_path_factory.mktemp("run"), species=list(SPECIES))
    for name in [*ANY[:-1], "x" * 5000]:
        run.add(name, frames=2, boxes=lambda _: [(at, 0.5 + at / 50) for at in range(len(SPECIES))])
    run.add("failed.mp4", state="unreadable", frames=0, reason="".join(ANY[:-1]))
    run.destination["version"] = "".join(ANY[:-1])
    run.described = {
        str(number): {
            "section": name,
            "attributes": {**dict(zip(ANY[:-1], reversed(ANY), strict=False)), "Locality": name},
        }
        for number, name in enumerate(ANY, start=1)
    }
    run.page()
    assert train.species(run.folder / "resources/network/train.ini") == SPECIES
    return run


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file, as any reader reads them."""
    with path.open(encoding="utf-8", newline="") as stream:
        found = list(csv.DictReader(stream, strict=True))
    assert not any(None in row or None in row.values() for row in found)
    return found


def exports(run: FakeRun) -> dict[str, list[Path]]:
    """Return the arguments that most exports have in common."""
    results = run.folder / "results"
    return {
        "records": run.every["records"],
        "outcomes": run.every["outcomes"],
        "detections": [results / "detections" / f"{number}.csv" for number in run.media_ids],
    }


def test_tables_of_counts_have_the_names_unchanged(run: FakeRun) -> None:
    found = rows(run.folder / "results/counts.csv")
    assert [row["species"] for row in found[: len(SPECIES)]] == SPECIES
    by_media = {int(row["media_id"]): row for row in found}
    for number, name in enumerate([*ANY[:-1], CUT], start=1):
        assert by_media[number]["section"] == name
        assert by_media[number]["Locality"] == name
        assert by_media[number]["name"] == ("x" * 5000 if number == len(ANY) else name)
    assert {by_media[1][name] for name in ANY[:-1]} <= {*ANY, CUT}


def test_darwin_core_has_the_names_unchanged_and_eventmeasure_s_lines_are_clean(run: FakeRun) -> None:
    counts, occurrences, max_n = (run.folder / name for name in ("results/counts.csv", "occurrences.csv", "maxn.txt"))
    export_counts(counts=counts, network=SPECIES[0], occurrences=occurrences, max_n=max_n)
    found = rows(occurrences)
    assert [row["scientificName"] for row in found] == SPECIES * len(ANY)
    assert [row["locality"] for row in found[:: len(SPECIES)]] == [*ANY[:-1], CUT]
    assert [row["fieldNumber"] for row in found[:: len(SPECIES)]] == [*ANY[:-1], "x" * 5000]
    text = max_n.read_text(encoding="utf-8")
    assert not COMMANDS.search(text)
    assert {line.count("\t") for line in text.split("\n")[:-1]} == {8}


class Elements(HTMLParser):
    """Parser that collects a page's elements and the names of their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Store the names of an element and of its attributes."""
        self.found |= {tag, *(f"@{name}" for name, _ in attrs)}


def test_pages_and_tables_for_people_are_clean(run: FakeRun) -> None:
    texts = {
        path.name: path.read_text(encoding="utf-8")
        for path in (run.folder / "results").glob("*.*")
        if path.suffix != ".csv"
    }
    assert texts.keys() >= {"overview.html", "summary.txt", "summary.json"}
    assert {name: found[0] for name, text in texts.items() if (found := COMMANDS.search(text))} == {}
    elements = Elements()
    elements.feed(texts["overview.html"])
    assert "svg" in elements.found
    assert not elements.found & {"script", "img", "iframe", "object", "form", "base"}
    assert not [name for name in elements.found if name.startswith("@on")]
    assert "&lt;script&gt;" in texts["overview.html"]
    # One line for each media: no name adds a line.
    assert len(texts["summary.txt"].split("\n")) == 2 + len(run.media_ids) + 1


def test_the_message_of_failed_media_is_one_clean_line(run: FakeRun) -> None:
    message = faults(read_lines(run.folder / "results/summary.json"), {run.media_ids[-1]})
    assert message == printable(message)
    assert "[2Jcod" in message


def test_coco_and_parquet_have_the_names_unchanged(run: FakeRun, tmp_path: Path) -> None:
    files, out = exports(run), tmp_path
    ini = run.folder / "resources/network/train.ini"
    merge_detections(
        detections=files["detections"],
        outcomes=files["outcomes"],
        train_ini=ini,
        merged=out / "all.csv",
        coco=out / "coco.json",
    )
    assert [each["name"] for each in clean_json(out / "coco.json")["categories"]] == SPECIES
    export_parquet(detections=files["detections"], outcomes=files["outcomes"], train_ini=ini, table=out / "all.parquet")
    assert {*parquet.read_table(out / "all.parquet").column("species").to_pylist()} == {*SPECIES}


def clean_json(path: Path) -> Any:
    """Return the content of a JSON file; check that it has no raw commands."""
    text = path.read_text(encoding="utf-8")
    assert not COMMANDS.search(text)
    return json.loads(text)


def test_exports_of_tracks(run: FakeRun) -> None:
    ini, folder, tracks = run.folder / "resources/network/train.ini", run.folder, []
    for number in run.media_ids:
        track = {
            "track": 1,
            "confidence": 0.5,
            "first_frame": 0,
            "last_frame": 0,
            "best_frame": 0,
            "boxes": 1,
            "interpolated": 0,
        }
        tracks.append(folder / f"{number}_tracks.json")
        some = [{**track, "species": number}] if number <= len(SPECIES) else []
        write_json(tracks[-1], {"media_id": number, "state": "done", "reason": None, "tracks": some})
        (folder / f"{number}_tracks.csv").write_text(
            "frame,id,bb_left,bb_top,bb_width,bb_height,conf,x,y,z,det_species,interpolated\n0,1,1.0,2.0,3.0,4.0,0.5,-1,-1,-1,1,0\n"
        )
    files = exports(run)
    export_tracks(
        records=files["records"], outcomes=files["outcomes"], tracks=tracks, train_ini=ini, fill_gaps=False,
        track_boxes=[folder / f"{number}_tracks.csv" for number in run.media_ids],
        mot=folder / "mot", viame=folder / "viame", coco=folder / "tracks.json",
    )  # fmt: skip
    content = clean_json(folder / "tracks.json")
    assert [each["name"] for each in content["categories"]] == SPECIES
    assert [each["name"] for each in content["videos"]] == ANY[: len(SPECIES)]
    for number, name in enumerate(SPECIES, start=1):
        text = (folder / "viame" / f"{number}.csv").read_text(encoding="utf-8")
        assert not COMMANDS.search(text)
        *_, last = csv.reader(text.splitlines())
        assert last[9] == printable(name).replace(",", ";")


@pytest.mark.parametrize("local", [False, True])
def test_exports_for_labelling_and_training(run: FakeRun, tmp_path: Path, local: bool) -> None:
    """Also of files in a folder, whose names may have any byte except NUL and a slash."""
    files, out, ini = exports(run), tmp_path, run.folder / "resources/network/train.ini"
    paths = [f"{name[:200].replace('/', '_')}\udcff.mp4" for name in ANY]
    if local:
        for at, (path, name) in enumerate(zip(files["records"], [*paths, "failed.mp4"], strict=True)):
            files["records"][at] = out / path.name
            write_json(out / path.name, {**read_json(path), "local": {"path": name, "size": 1, "modified_ns": 1}})
    provenance = run.folder / "resources/network/provenance.json"
    known: dict[str, Any] = {**files, "train_ini": ini}
    export_cvat(**known, cvat=out / "cvat")
    pages = sorted((out / "cvat").glob("*.xml"))
    assert len(pages) == len(ANY) + 1
    for page in pages:
        assert not COMMANDS.search(page.read_text(encoding="utf-8"))
        labels = [label.findtext("name") for label in parse(page).iter("label")]
        assert labels == [without_commands(name) for name in SPECIES]
    export_label_studio(**known, provenance=provenance, label_studio=out / "tasks.json")
    tasks = clean_json(out / "tasks.json")
    assert len(tasks) == len(ANY)
    assert {label for result in tasks[0]["predictions"][0]["result"] for label in result["value"]["labels"]} == {
        *SPECIES
    }
    assert all(task["data"]["video"].isascii() and task["data"]["video"].isprintable() for task in tasks)
    export_megadetector(**known, provenance=provenance, keep_threshold=0.3, megadetector=out / "md.json")
    content = clean_json(out / "md.json")
    assert [*content["detection_categories"].values()] == SPECIES
    assert not local or [each["file"] for each in content["images"]][:-1] == paths
    export_yolo(**known, yolo=out / "yolo")
    assert {path.relative_to(out / "yolo").parts[0] for path in (out / "yolo").rglob("*.txt")} == {"labels"}
    text = (out / "yolo/data.yaml").read_text(encoding="utf-8")
    assert not COMMANDS.search(text)
    assert [*yaml.safe_load(text)["names"].values()] == SPECIES


def test_yaml_of_ordinary_names_is_readable(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, species=["Größe", "日本"])
    run.add(frames=0, state="missing")
    run.finish()
    export_yolo(**exports(run), train_ini=tmp_path / "resources/network/train.ini", yolo=tmp_path / "yolo")
    assert "0: Größe\n  1: 日本\n" in (tmp_path / "yolo/data.yaml").read_text(encoding="utf-8")


def test_the_table_of_a_folder_s_files_has_the_names_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scripts.lib.folder_source.listing import list_folder

    folder = tmp_path / "media"
    folder.mkdir()
    names = {f"{name[:200].replace('/', '_').lstrip('.')}.png" for name in ANY}
    for name in names:
        (folder / name).write_bytes(b"")
    listed = list_folder(folder)
    records = []
    for file in listed.files:
        records.append(tmp_path / f"{file.media_id}.json")
        write_json(
            records[-1], {"media_id": file.media_id, "state": "ready", "reason": None, "name": None, "kind": "image"}
        )
    monkeypatch.setattr("scripts.tabulate_media.of_media", lambda *_: iter(listed.files))
    tabulate_media(listing=tmp_path, records=records, media_table=tmp_path / "media.csv")
    assert {row["path"] for row in rows(tmp_path / "media.csv")} == names


def test_true_boxes_of_species_with_odd_names(tmp_path: Path) -> None:
    boxes = [LabeledBox((1, at), (1.0, 2.0, 3.0, 4.0), name) for at, name in enumerate(ANY)]
    write_truth(tmp_path / "truth.csv", boxes)
    assert read_truth(tmp_path / "truth.csv") == [*boxes[:-1], replace(boxes[-1], species=CUT)]


def test_rows_of_a_csv_end_with_a_line_feed_and_are_quoted_only_if_necessary(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv_text.writer(stream)
        table.writerows([["a", 1, None, "b c"], ["\r", "\n", "\r\n", '"']])
    assert path.read_bytes() == b'a,1,,b c\n"\r","\n","\r\n",""""\n'
    assert os.linesep == "\n"


def test_labels_of_files_with_names_unsuitable_for_labels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A name that is too long, and names of which one would be a file and the other a folder."""
    run = FakeRun(tmp_path)
    paths = {
        "x" * 255: "image",
        "a.jpg": "image",
        "a.txt.mp4": "video",
        "b.mp4": "video",
        "b/0000/00000000.jpg": "image",
    }
    for path, kind in paths.items():
        number = run.add(path, kind=kind, frames=1)
        record = run.folder / f"resources/records/{number}.json"
        write_json(record, {**read_json(record), "local": {"path": path, "size": 1, "modified_ns": 1}})
    run.finish()
    export_yolo(**exports(run), train_ini=tmp_path / "resources/network/train.ini", yolo=tmp_path / "yolo")
    labels = tmp_path / "yolo/labels"
    found = {str(path.relative_to(labels)) for path in labels.rglob("*.txt") if path.is_file()}
    assert found == {"1.txt", "a.txt", "3/0000/00000000.txt", "b/0000/00000000.txt", "5.txt"}
    assert caplog.text.count("no file can be called") == 3
