"""Counts in other formats: terms of Darwin Core, and a table of MaxN with tabs."""

import csv
from pathlib import Path
from typing import Any

import pytest

from scripts.count_species import MEDIA, WHOLE
from scripts.export_counts import export_counts

COUNTS = """\
media_id,name,section,state,fps,frames_looked_at,threshold,species,max_n,max_n_frame,max_n_seconds,first_frame,\
first_seconds,seconds_seen,frames_seen,mean_count,tracks,Event Date,decimal_latitude,Station
7,"a\tb.mp4",Reef,done,25.0,100,0.5,Gadus morhua,3,50,2.0,1,0.04,1.0,25,0.5,,2026-03-01,59.1,A1
7,"a\tb.mp4",Reef,done,25.0,100,0.5,crab,0,,,,,0.0,0,0.0,,2026-03-01,59.1,A1
9,c.png,,done,,1,0.5,crab,1,0,,0,,,1,1.0,,,,
"""


def exported(folder: Path) -> tuple[list[dict[str, str]], list[list[str]]]:
    (folder / "counts.csv").write_text(COUNTS)
    names = {"occurrences": folder / "occurrences.csv", "max_n": folder / "maxn.txt"}
    export_counts(
        counts=folder / "counts.csv", host="https://tator.example.org", project_id=4, network="fish:2", **names
    )
    with names["occurrences"].open(newline="") as stream:
        occurrences = list(csv.DictReader(stream))
    return occurrences, [line.split("\t") for line in names["max_n"].read_text().splitlines()]


def written(folder: Path, columns: list[str], rows: list[dict[str, Any]], **where: Any) -> list[dict[str, str]]:
    with (folder / "counts.csv").open("w", newline="") as stream:
        table = csv.DictWriter(stream, columns)
        table.writeheader()
        table.writerows(rows)
    files = {"counts": folder / "counts.csv", "occurrences": folder / "o.csv", "max_n": folder / "m.txt"}
    export_counts(**files, network="n", **where)
    with (folder / "o.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_occurrences_are_present_or_absent_with_attributes_of_the_media(tmp_path: Path) -> None:
    occurrences, _ = exported(tmp_path)
    assert [one["occurrenceStatus"] for one in occurrences] == ["present", "absent", "present"]
    assert [one["individualCount"] for one in occurrences] == ["3", "0", "1"]
    assert len({one["occurrenceID"] for one in occurrences}) == 3
    assert {one["basisOfRecord"] for one in occurrences} == {"MachineObservation"}
    first, _, last = occurrences
    assert (first["eventDate"], first["decimalLatitude"], first["scientificName"]) == (
        "2026-03-01",
        "59.1",
        "Gadus morhua",
    )
    assert first["associatedMedia"] == "https://tator.example.org/4/annotation/7?frame=50"
    assert (last["eventDate"], last["associatedMedia"]) == ("", "https://tator.example.org/4/annotation/9?frame=0")
    assert first["identificationRemarks"] == "network fish:2; boxes that score 0.5 or more"


def test_a_species_with_a_track_is_not_absent(tmp_path: Path) -> None:
    """Its boxes score too little to count, but somebody who looks at the track would see it."""
    columns = [*MEDIA, *WHOLE]
    rows = [{"media_id": 1, "name": "a.mp4", "threshold": 0.5, "species": name, "max_n": 0, "tracks": tracks}
            for name, tracks in (("cod", 0), ("crab", 1), ("ray", ""))]  # fmt: skip
    assert [(one["scientificName"], one["occurrenceStatus"]) for one in written(tmp_path, columns, rows)] == [
        ("cod", "absent"),
        ("ray", "absent"),
    ]


@pytest.mark.parametrize(
    ("where", "event"),
    [
        ({"dataset": "dive_2025"}, "dive_2025:1"),
        ({"host": "https://t.org", "project_id": 4}, "t.org:4:1"),
        ({"host": "https://t.org", "project_id": 4, "dataset": "mine"}, "mine:1"),
    ],
)
def test_ids_begin_with_the_dataset(tmp_path: Path, where: dict[str, Any], event: str) -> None:
    row = {"media_id": 1, "name": "a.mp4", "threshold": 0.5, "species": "cod", "max_n": 0}
    [found] = written(tmp_path, [*MEDIA, *WHOLE], [row], **where)
    assert (found["eventID"], found["occurrenceID"]) == (event, f"{event}:cod")


def test_maxn_has_a_line_for_each_species_that_was_seen(tmp_path: Path) -> None:
    _, (header, *lines) = exported(tmp_path)
    assert header == ["OpCode", "Filename", "Frame", "Time (mins)", "Period", "Family", "Genus", "Species", "MaxN"]
    assert lines == [
        ["Reef", "a\N{REPLACEMENT CHARACTER}b.mp4", "50", "0.03333", "", "", "Gadus", "morhua", "3"],
        ["c.png", "c.png", "0", "", "", "", "", "crab", "1"],
    ]


def test_of_attributes_that_differ_in_spelling_one_with_a_value_is_used(tmp_path: Path) -> None:
    columns = [*MEDIA, *WHOLE, "Event Date", "event_date", "Locality", "locality"]
    row = {"media_id": 1, "name": "a.mp4", "threshold": 0.3, "species": "cod", "max_n": 0, "Event Date": "2026-01-02"}
    [found] = written(tmp_path, columns, [{**row, "locality": "reef"}])
    assert (found["eventDate"], found["locality"]) == ("2026-01-02", "reef")
