"""Recorded answers of a real Tator 1.5 about equal boxes and changed attributes, compared with the stand-in.

`tests/data/tator-faults-recordings.json` holds the messages and the rows after each request, in the order in which they
were recorded.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from .launch import Server
from .test_client import box
from .test_pitfalls import refusal

LISTED = json.loads((Path(__file__).parents[1] / "data" / "tator-faults-recordings.json").read_text())
RECORDINGS = {one["what"]: one for one in LISTED}


def rows(api: Any, server: Server, kind: int) -> list[dict[str, Any]]:
    """Return the attributes of a type's rows, with "<now>" in place of times."""
    found = api.get_localization_list(server.project_id, type=kind, show_all_marks=1)
    return [without_times(one.attributes) for one in found]


def without_times(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: "<now>" if re.search(r"T.*\.\d{6}", str(value)) else value for name, value in attributes.items()}


def test_attributes_over_time(server: Server, api, version: int) -> None:
    first = RECORDINGS["a box type with use_current"]["body"]
    kinds = [{"required": False, **one} for one in first["attribute_types"]]
    record = {"project": server.project_id, "name": "Timed", "dtype": "box", "attribute_types": kinds, "media": [1]}
    kind = server.add("localization_type", **record, elemental_id="x")
    steps = [one for one in LISTED if one["request"].split("/")[2] in ("AttributeType", "Localizations")]
    compared = 0
    for one in steps:
        method, body, status = one["request"].split(" ")[0], one["body"], one["status"]
        if one["request"].endswith("/AttributeType/45"):
            change = {"POST": api.create_attribute_type, "PATCH": api.update_attribute_type}.get(
                method, api.delete_attribute_type
            )
            if status == 400:
                assert refusal(change, kind, body) == (400, json.dumps(one["answer"]))
            else:
                assert change(kind, body).message == one["answer"]["message"]
        elif method == "POST" and body and body[0]["type"] == 45:
            spec = box(server, version, type=kind, frame=1, attributes=body[0].get("attributes", {}))
            if status == 400:
                text = refusal(api.create_localization_list, server.project_id, body=[spec])[1]
                assert json.loads(text)["message"] == one["answer"]["message"]
            else:
                api.create_localization_list(server.project_id, body=[spec])
        else:
            continue
        if "database" in one:
            compared += 1
            found = rows(api, server, kind)
            for row in one["database"]:
                assert without_times(row["attributes"]) in found, one["what"]
    assert compared > 8


@pytest.mark.parametrize("what", ["... cleaned: one id, prune, wrong count", "count in the BODY of a delete of many"])
def test_counts_are_checked(server: Server, api, version: int, what: str) -> None:
    message = RECORDINGS[what]["answer"]["message"]
    expected, count = map(int, re.findall(r"\d+", message))
    api.create_localization_list(server.project_id, body=[box(server, version)] * count)
    body = {"prune": 1, "count": expected}
    status, text = refusal(api.delete_localization_list, server.project_id, body, version=[version])
    assert (status, json.loads(text)["message"]) == (400, message)
