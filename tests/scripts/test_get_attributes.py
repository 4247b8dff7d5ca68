"""Section and attributes of media in Tator."""

from pathlib import Path

import pytest
import tator

from scripts.get_attributes import get_attributes
from scripts.lib.files import read_json
from scripts.lib.records.record_files import write_record
from tests.made_records import media_record
from tests.scripts.tator_steps import MARK
from tests.tator_server.launch import Server
from tests.tator_server.seed import attribute


def test_media_have_their_section_and_all_attributes_except_those_that_a_run_writes(
    tmp_path: Path, tator_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TATOR_AUTH_TOKEN", tator_server.token)
    states = {1: "ready", 2: "ready", 7: "missing", 9: "ready"}  # 9 was deleted in the meantime
    for media_id, state in states.items():
        write_record(tmp_path / f"{media_id}.json", media_record(media_id=media_id, state=state))
    api = tator.get_api(tator_server.host, tator_server.token)
    media_type = next(one for one in tator_server.all("media_type") if one["id"] == tator_server.video_type_id)
    kinds = [*media_type["attribute_types"], attribute("MaxN cod", "int")]
    tator_server.change("media_type", media_type["id"], attribute_types=kinds)
    api.update_media(2, {"attributes": {"MaxN cod": 5}})
    api.update_media(2, {"attributes": {MARK: "2026-01-01", "Notes": "dörsch \n, 5 m"}})
    get_attributes(
        records=[tmp_path / f"{media_id}.json" for media_id in states],
        host=tator_server.host,
        project_id=tator_server.project_id,
        mark_attribute=MARK,
        count_attributes=["MaxN cod"],
        attributes=tmp_path / "attributes.json",
    )
    found = read_json(tmp_path / "attributes.json")
    assert found.keys() == {"1", "2"}
    assert found["2"] == {"section": "Folder 1", "attributes": {"Notes": "dörsch \n, 5 m"}}
    assert found["1"]["attributes"].keys() <= {"Notes"}


def test_no_request_is_sent_if_no_media_is_ready(tmp_path: Path) -> None:
    write_record(tmp_path / "1.json", media_record(state="missing"))
    host, found = "http://127.0.0.1:1", tmp_path / "attributes.json"  # nothing listens there
    get_attributes(records=[tmp_path / "1.json"], host=host, project_id=1, mark_attribute=MARK, attributes=found)
    assert read_json(found) == {}
