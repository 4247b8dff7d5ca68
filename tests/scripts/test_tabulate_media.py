"""The table of the user's files."""

import csv

import pytest

from scripts.lib.folder_source.listing import LeftOut, ListedFile, Listing
from scripts.lib.folder_source.run_listing import write_listing
from scripts.lib.records.record_files import write_record
from scripts.tabulate_media import tabulate_media
from tests.made_records import media_record


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (1_700_000_000, "2023-11-14T22:13:20+00:00"),
        (-1, "1969-12-31T23:59:59+00:00"),
        (253_402_300_800, ""),  # the year 10000
        (1_833_029_933_770, ""),  # the latest date of NTFS
        (-62_135_596_801, ""),  # before the year 1
        (9_000_000_000_000_000, ""),
    ],
)
def test_dates_that_cannot_be_written_are_left_empty(tmp_path, seconds, shown):
    listing, table = tmp_path / "listing", tmp_path / "media.csv"
    write_listing(listing, Listing("/survey", [ListedFile(7, "a.jpg", 1, seconds * 10**9)], LeftOut()))
    write_record(tmp_path / "7.json", media_record(media_id=7, kind="image"))
    tabulate_media(listing=listing, records=[tmp_path / "7.json"], media_table=table)
    with table.open(newline="") as stream:
        [row] = csv.DictReader(stream)
    assert (row["media_id"], row["kind"], row["modified"]) == ("7", "image", shown)
