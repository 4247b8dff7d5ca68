"""Whole runs that write MaxN to attributes of the media in Tator."""

import json

import jsonschema
import pandas as pd
import pytest
import yaml

from tests.tator_server.seed import attribute
from tests.test_end_to_end import MARK, Site, ran
from tests.workflow import ROOT


@pytest.fixture
def site(tator_server, tmp_path):
    return Site(tator_server, tmp_path / "run")


@pytest.mark.parametrize("per_job", [1, 2])
def test_counts_become_attributes_of_the_media(site, per_job):
    """A new threshold changes the counts without detecting again, and a value that a person set is kept."""
    names = {"cod": "MaxN cod", "crab": "MaxN crab", "flatfish": "MaxN flatfish"}
    kinds = [attribute(MARK, "string", default="No"), *(attribute(name, "int") for name in names.values())]
    site.server.change("media_type", site.server.video_type_id, attribute_types=kinds)
    site.settings["media"] = {"per_job": per_job}
    site.settings["counts"] = {"attributes": names}
    first = site.run()
    assert first.returncode == 0, first.stdout

    def values_in_tator():
        found = site.api.get_media_list(site.server.project_id)
        return {media["id"]: {name: media["attributes"].get(name) for name in names.values()} for media in found}

    def counted():
        table = pd.read_csv(site.folder / "results" / "counts.csv")
        found = {media_id: dict.fromkeys(names.values(), 0) for media_id in site.server.media}
        for row in table.itertuples():
            found[row.media_id][names[row.species]] = row.max_n
        assert "MaxN cod" not in table.columns, "the run's own attributes are not copied into counts.csv"
        return found

    before = counted()
    assert values_in_tator() == before
    assert any(sum(each.values()) for each in before.values())
    assert all(mark != "No" for mark in site.marks().values())
    record = json.loads((site.folder / "results" / "counts_in_tator.json").read_text())
    schema = yaml.safe_load((ROOT / "docs" / "records.schema.yaml").read_text())
    jsonschema.validate(record, {**schema, "$ref": "#/$defs/counts_in_tator"})
    assert "Nothing to be done" in site.run().stdout

    person = next(media_id for media_id, each in before.items() if each["MaxN cod"])
    site.api.update_media(person, {"attributes": {"MaxN cod": 77}})
    site.server.clear_requests()
    site.settings["counts"]["threshold"] = 0.99
    again = ran(site.run())
    assert not [job for job in again if job.startswith(("detect", "upload"))]
    after = counted()
    assert after != before
    after[person]["MaxN cod"] = 77
    assert values_in_tator() == after
    summary = json.loads((site.folder / "results" / "summary.json").read_text())
    assert {media["media_id"]: media["people_counts"] for media in summary["media"]} == {
        media_id: ["MaxN cod"] if media_id == person else [] for media_id in site.server.media
    }
    assert "counts: MaxN cod" in (site.folder / "results" / "summary.txt").read_text()


def test_attributes_for_counts_are_checked_before_detection(site):
    site.settings["counts"] = {"attributes": {"cod": "MaxN cod"}}
    done = site.run()
    assert done.returncode != 0
    assert "counts.attributes: media type" in done.stdout
    assert "has no int or float attribute 'MaxN cod'" in done.stdout
    assert not (site.folder / "results" / "detections").exists()
    site.server.change(
        "media_type",
        site.server.video_type_id,
        attribute_types=[attribute(MARK, "string"), attribute("MaxN cod", "int")],
    )
    site.settings["counts"] = {"attributes": {"Cod": "MaxN cod"}}
    done = site.run()
    assert done.returncode != 0
    assert "the network has no species 'Cod'; it has 'cod'" in done.stdout
    assert not (site.folder / "results" / "detections").exists()
