"""Tables of counts: zeros, media without a result, and the media's attributes in Tator."""

import csv
from pathlib import Path
from typing import Any

import pytest

from scripts.count_species import count_species
from scripts.lib.files import write_json
from scripts.lib.records.record_files import write_record
from tests.made_records import detection_record, media_record, tracks_record

# State, frames and kind of the media that are not videos of 50 frames.
STATES = {3: ("missing", 0, None), 4: ("done", 1, "image"), 5: ("unsupported", 20, "video")}
SCORES = {1: "0.9:0.1:0.0", 2: "0.1:0.8:0.0", 3: "0.1:0.1:0.8"}
HEADER = "video_id,frame,x,y,w,h,det_conf,det_species\n"
ATTRIBUTES = {
    "1": {
        "section": "Reef, north",
        "attributes": {"Depth": 12.5, "species": "any", "Tags": ["a", 1], "Odd": "\ud800 \n="},
    },
    "2": {"section": None, "attributes": {"Station": "B,2", "Depth": None}},
}  # fmt: skip


@pytest.fixture
def counted(tmp_path: Path) -> Any:
    def count(
        tracks: dict[int, list[int]] | None = None, **changes: Any
    ) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
        # The fifth cannot be read to its end; its CSV has the boxes before that, one of a species that no other has.
        rows = {1: [(0, 1), (0, 1), (30, 2)], 2: [(5, 1)], 3: [], 4: [(0, 2)], 5: [(0, 1), (1, 3)]}
        for media_id, found in rows.items():
            lines = "".join(
                f"{media_id}_a,{frame},1.000,2.000,3.000,4.000,{SCORES[species]},{species}\n"
                for frame, species in found
            )
            (tmp_path / f"{media_id}.csv").write_text(HEADER + lines)
            state, numbers, kind = STATES.get(media_id, ("done", 50, "video"))
            write_record(tmp_path / f"{media_id}_record.json", media_record(media_id=media_id, fps=25.0))
            known = {"media_id": media_id, "name": f"{media_id}.mp4", "state": state, "kind": kind}
            write_record(tmp_path / f"{media_id}.json", detection_record(decoded=numbers, **known))
            if tracks is not None:
                known = (
                    {"state": "done"} if media_id in tracks else {"state": "not tracked", "reason": "it is a picture"}
                )
                write_record(tmp_path / f"{media_id}_tracks.json", tracks_record(*tracks.get(media_id, ()), **known))
        write_json(tmp_path / "attributes.json", ATTRIBUTES)
        (tmp_path / "train.ini").write_text("[Data]\nSpecies=cod,crab,seal\n")
        arguments = {"threshold": 0.5, "interval_seconds": 1, "attributes": [tmp_path / "attributes.json"]} | changes
        count_species(
            records=[tmp_path / f"{one}_record.json" for one in rows],
            outcomes=[tmp_path / f"{one}.json" for one in rows],
            detections=[tmp_path / f"{one}.csv" for one in rows],
            tracks=[] if tracks is None else [tmp_path / f"{one}_tracks.json" for one in rows],
            train_ini=tmp_path / "train.ini",
            counts=tmp_path / "counts.csv",
            intervals=tmp_path / "intervals.csv",
            **arguments,
        )
        both = []
        for name in ("counts.csv", "intervals.csv"):
            with (tmp_path / name).open(newline="", encoding="utf-8") as stream:
                both.append(list(csv.DictReader(stream)))
        return both[0], both[1]

    return count


def test_a_row_for_each_processed_media_and_each_species_of_the_run(counted: Any) -> None:
    rows, _ = counted()
    found = {
        (row["media_id"], row["species"]): (row["max_n"], row["max_n_frame"], row["max_n_seconds"]) for row in rows
    }
    assert found == {
        ("1", "cod"): ("2", "0", "0.0"), ("1", "crab"): ("1", "30", "1.2"),
        ("2", "cod"): ("1", "5", "0.2"), ("2", "crab"): ("0", "", ""),
        ("4", "cod"): ("0", "", ""), ("4", "crab"): ("1", "0", ""),
    }  # fmt: skip
    assert {row["tracks"] for row in rows} == {""}
    assert rows[0]["mean_count"] == "0.04"


def test_intervals_add_up_to_the_whole(counted: Any) -> None:
    rows, intervals = counted()
    assert [(one["interval"], one["start_seconds"], one["first_frame"], one["last_frame"], one["species"], one["max_n"])
            for one in intervals if one["media_id"] == "1"] == [
        ("0", "0.0", "0", "24", "cod", "2"), ("0", "0.0", "0", "24", "crab", "0"),
        ("1", "1.0", "25", "49", "cod", "0"), ("1", "1.0", "25", "49", "crab", "1"),
    ]  # fmt: skip
    for row in rows:
        parts = [one for one in intervals if (one["media_id"], one["species"]) == (row["media_id"], row["species"])]
        assert max(int(one["max_n"]) for one in parts) == int(row["max_n"])
        assert sum(int(one["frames"]) for one in parts) == int(row["frames_looked_at"])


def test_tables_have_the_section_and_attributes_of_the_media(counted: Any) -> None:
    for table in counted():
        one = next(row for row in table if row["media_id"] == "1")
        assert one["section"] == "Reef, north"
        assert (one["Depth"], one["Tags"], one["Station"]) == ("12.5", '["a", 1]', "")
        assert one["attribute species"] == "any"
        assert one["Odd"] == "? \n="
        other = next(row for row in table if row["media_id"] == "2")
        assert (other["section"], other["Depth"], other["Station"]) == ("", "", "B,2")


def test_a_species_that_only_has_tracks_has_rows(counted: Any) -> None:
    rows, _ = counted(tracks={1: [3], 2: []})
    seals = [(row["max_n"], row["tracks"]) for row in rows if row["species"] == "seal"]
    assert seals == [("0", "1"), ("0", "0"), ("0", "")]


def test_tracks_are_counted_by_species(counted: Any) -> None:
    rows, _ = counted(tracks={1: [1, 1, 2], 2: [2]})
    assert [row["tracks"] for row in rows] == ["2", "1", "0", "1", "", ""]


def test_a_run_without_boxes_above_the_threshold_has_empty_tables(counted: Any) -> None:
    assert counted(threshold=0.95) == ([], [])
