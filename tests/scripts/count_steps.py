"""Shared by the tests of write_counts: two media with counts, ready to be written."""

import csv

import pytest

from scripts.lib.files import read_json
from scripts.write_counts import write_counts
from tests.tator_server.seed import attribute as seed_attribute

COD, CRAB = "MaxN cod", "MaxN crab"


class Counted:
    """The rule write_counts in a run's folder, after the rules before it."""

    def __init__(self, steps):
        self.steps, self.server, self.folder = steps, steps.server, steps.folder
        self.numbers = {}
        self.media_ids = []

    def verified(self, *media_ids):
        self.media_ids = list(media_ids)
        for media_id in media_ids:
            self.steps.detected(media_id, [])
            self.steps.upload(media_id)

    def write_table(self):
        with (self.folder / "counts.csv").open("w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(["media_id", "species", "max_n"])
            for media_id, numbers in self.numbers.items():
                rows.writerows((media_id, species, number) for species, number in numbers.items())

    def write(self, folder=None, **changes):
        self.write_table()
        settings = {
            "counts": self.folder / "counts.csv",
            **{
                kind: [self.folder / f"{name}_{media_id}.json" for media_id in self.media_ids]
                for kind, name in {"records": "record", "outcomes": "found", "uploads": "upload"}.items()
            },
            "attributes": {"cod": COD, "crab": CRAB},
            "memory": (folder or self.folder) / "written_counts.json",
            "counts_in_tator": self.folder / "counts_in_tator.json",
            **changes,
        }
        write_counts(**self.steps.where, **settings)
        return read_json(self.folder / "counts_in_tator.json")

    def edit(self, media_id, **attributes):
        self.steps.api.update_media(media_id, {"attributes": attributes})

    def write_requests(self):
        return len(self.server.requests("UpdateMediaList"))

    def values(self, media_id, *names):
        attributes = self.steps.api.get_media(media_id).attributes
        return [attributes.get(name) for name in names or (COD, CRAB)]


def add_attributes(server, *kinds):
    for type_id in (server.video_type_id, server.image_type_id):
        [owner] = [one for one in server.all("media_type") if one["id"] == type_id]
        server.change("media_type", type_id, attribute_types=[*owner["attribute_types"], *kinds])


@pytest.fixture
def counted(steps):
    add_attributes(steps.server, seed_attribute(COD, "int"), seed_attribute(CRAB, "float", default=-1.0))
    steps.resolve(1, 2, count_attributes=[COD, CRAB])
    steps.prepare(counted_species=["cod", "crab"])
    counted = Counted(steps)
    for media_id in (1, 2):
        counted.edit(media_id, **{CRAB: -1.0})  # as Tator fills in the default of a new attribute
    counted.verified(1, 2)
    counted.numbers = {1: {"cod": 3, "crab": 2}, 2: {"cod": 0, "crab": 5}}
    steps.server.clear_requests()
    return counted
