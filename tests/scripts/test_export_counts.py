"""Counts in other formats: terms of Darwin Core, and a table of MaxN with tabs."""

import csv
from pathlib import Path

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
    with (tmp_path / "counts.csv").open("w", newline="") as stream:
        rows = csv.DictWriter(stream, columns)
        rows.writeheader()
        rows.writerow({**row, "locality": "reef"})
    files = {"counts": tmp_path / "counts.csv", "occurrences": tmp_path / "o.csv", "max_n": tmp_path / "m.txt"}
    export_counts(**files, network="n")
    with (tmp_path / "o.csv").open(newline="") as stream:
        [found] = csv.DictReader(stream)
    assert (found["eventDate"], found["locality"]) == ("2026-01-02", "reef")
