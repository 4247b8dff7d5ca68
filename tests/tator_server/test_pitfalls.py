"""Pitfalls of a real server, which the stand-in must have as well."""

import base64
import json
import uuid
from typing import Any

import pytest
import requests
import tator
from tator.exceptions import ApiException

from .launch import Server
from .test_client import box


def refusal(call, *args: Any, **settings: Any) -> tuple[int, str]:
    with pytest.raises(ApiException) as refused:
        call(*args, **settings)
    return refused.value.status, refused.value.body


def as_person(server: Server):
    return tator.get_api(server.host, server.tokens["person"])


class TestFilters:
    def test_empty_lists_match_everything(self, server: Server, api, version: int) -> None:
        project = server.project_id
        api.create_localization_list(project, body=[box(server, version, media_id=number) for number in (1, 2)])
        assert len(api.get_media_list_by_id(project, {"ids": []})) == api.get_media_count(project)
        for empty in ({"media_ids": []}, {"elemental_ids": []}, {"ids": []}):
            assert len(api.get_localization_list_by_id(project, empty, version=[version])) == 2
        patch = {"ids": [], "attributes": {"Species": "changed"}}
        api.update_localization_list(project, patch, version=[version])
        listed = api.get_localization_list(project, version=[version])
        assert {(one.attributes["Species"], one.mark) for one in listed} == {("changed", 1)}

    def test_unknown_names_filter_nothing(self, server: Server, api, version: int) -> None:
        api.create_localization_list(server.project_id, body=[box(server, version)])
        address = f"{server.host}/rest/LocalizationCount/{server.project_id}?version={version}"
        for query in ("&mediaid=99", "&attribute=Nope::x"):
            answer = requests.get(address + query, headers={"Authorization": f"Token {server.token}"})
            assert answer.json() == 1

    @pytest.mark.parametrize(
        ("settings", "frames"),
        [
            ({"attribute": ["Species::cod"]}, [0]),
            ({"attribute": ["Confidence::0.9"]}, [1]),
            ({"attribute_gte": ["Confidence::0.5"]}, [0, 1]),
            ({"attribute_lt": ["Confidence::0.9"], "attribute": ["Species::cod"]}, [0]),
            ({"attribute_contains": ["Species::CR"]}, [1]),
            ({"attribute_null": ["Species::true"]}, [2]),
            ({"frame": 1}, [1]),
            ({"media_id": [2]}, [2]),
            ({"start": 1, "stop": 2}, [1]),
            ({"sort_by": ["-$frame"], "stop": 1}, [2]),
            ({"type": 32}, []),
        ],
    )
    def test_filters(self, server: Server, api, version: int, settings, frames) -> None:
        boxes = [
            box(server, version),
            box(server, version, frame=1, attributes={"Species": "crab", "Confidence": 0.9}),
            box(server, version, frame=2, media_id=2, attributes={}),
        ]
        api.create_localization_list(server.project_id, body=boxes)
        found = api.get_localization_list(server.project_id, version=[version], **settings)
        assert [one.frame for one in found] == frames

    @pytest.mark.parametrize(
        "query", ["version=x", "show_deleted=2", "show_all_marks=yes", "elemental_id=1", "attribute=x"]
    )
    def test_bad_values_are_refused(self, server: Server, query: str) -> None:
        address = f"{server.host}/rest/Localizations/{server.project_id}?{query}"
        assert requests.get(address, headers={"Authorization": f"Token {server.token}"}).status_code == 400

    def test_features_that_are_missing_are_a_501(self, server: Server) -> None:
        address = f"{server.host}/rest/Medias/{server.project_id}?multi_section=1"
        answer = requests.get(address, headers={"Authorization": f"Token {server.token}"})
        assert (answer.status_code, "stand-in" in answer.text) == (501, True)

    def test_media_filters(self, server: Server, api) -> None:
        project = server.project_id
        assert [media.id for media in api.get_media_list(project, name="B.MP4")] == [2]
        api.update_media(3, {"attributes": {"Notes": "here"}})
        assert [media.id for media in api.get_media_list(project, attribute=["Notes::here"])] == [3]
        assert [media.id for media in api.get_media_list(project, dtype="image", fields="id")] == [4]

    @pytest.mark.parametrize(
        ("search", "found"),
        [
            ({"attribute": "$name", "operation": "icontains", "value": "B.M"}, [2]),
            ({"attribute": "$id", "operation": "in", "value": [1, 4]}, [1, 4]),
            ({"attribute": "Object Detector Processed", "operation": "eq", "value": "No"}, [1, 2, 3, 4]),
            ({"attribute": "Object Detector Processed", "operation": "eq", "value": "No", "inverse": True}, []),
            ({"attribute": "Nope", "operation": "eq", "value": "No"}, []),
        ],
    )
    def test_media_searches(self, server: Server, api, search, found) -> None:
        rest = {"attribute": "$id", "operation": "lt", "value": 5}
        for method, other in (("and", rest), ("or", rest | {"operation": "gt", "value": 10**9})):
            text = json.dumps({"method": method, "operations": [search, other]})
            listed = api.get_media_list(server.project_id, encoded_search=base64.b64encode(text.encode()).decode())
            assert sorted(media.id for media in listed) == found

    def test_media_of_a_section(self, server: Server, api) -> None:
        number = server.add_media("elsewhere", primary_section=7)
        assert [media.id for media in api.get_media_list(server.project_id, section=7)] == [number]
        assert refusal(api.get_media_list, server.project_id, section=99)[0] == 404
        api.delete_media(number)


class TestCreation:
    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({"frame": -1}, "violates check constraint"),
            ({"frame": 1.5}, "Request body validation error"),
            ({"attributes": {"Species": None}}, "Request body validation error"),
            ({"attributes": {"Species": "a\0b"}}, "u0000"),
            ({"elemental_id": "x"}, "not a valid UUID"),
            ({"x": True}, "Request body validation error"),
        ],
    )
    def test_refused(self, server: Server, api, version: int, fields, text: str) -> None:
        boxes = [box(server, version), box(server, version, **fields)]
        status, body = refusal(api.create_localization_list, server.project_id, body=boxes)
        assert (status, text in body) == (400, True), body
        assert api.get_localization_count(server.project_id, version=[version]) == 0  # all or nothing

    @pytest.mark.parametrize(
        "fields",
        [{"width": 0, "height": 0}, {"frame": 10**6}, {"attributes": {"Species": 5}}, {"x": 0.9, "width": 0.9}],
    )
    def test_wrong_but_accepted(self, server: Server, api, version: int, fields) -> None:
        api.create_localization_list(server.project_id, body=[box(server, version, **fields)])

    def test_foreign_objects(self, server: Server, api, version: int) -> None:
        foreign = server.add_media("x.mp4", project=server.foreign_project_id)
        status, body = refusal(
            api.create_localization_list, server.project_id, body=[box(server, version, media_id=foreign)]
        )
        assert (status, f"got project {server.foreign_project_id}!" in body) == (400, True)

    def test_default_version_and_defaults_of_the_type(self, server: Server, api) -> None:
        kinds = [
            {"name": "A", "dtype": "string", "default": "filled", "required": False},
            {"name": "B", "dtype": "int", "minimum": 0, "required": False},
            {"name": "C", "dtype": "bool", "required": False},
            {"name": "D", "dtype": "enum", "choices": ["x", "y"], "required": False},
            {"name": "E", "dtype": "datetime", "required": False},
        ]
        project = server.project_id
        record = {"project": project, "name": "Many", "dtype": "box", "attribute_types": kinds, "elemental_id": "x"}
        number = server.add("localization_type", **record, media=[])

        def create(**attributes: Any):
            spec = {key: value for key, value in box(server, 0).items() if key != "version"}
            return api.create_localization_list(project, body=[spec | {"type": number, "attributes": attributes}])

        made = api.get_localization(create(B="7", C="TRUE", D="y", E="2026-01-02").id[0])
        assert made.version == server.version_id
        assert made.attributes == {"A": "filled", "B": 7, "C": True, "D": "y", "E": "2026-01-02T00:00:00"}
        for wrong in ({"B": "many"}, {"B": -1}, {"C": "perhaps"}, {"D": "z"}, {"E": "yesterday"}):
            assert refusal(create, **wrong)[0] == 400

    def test_nan_is_stored_and_is_not_json(self, server: Server, api, version: int) -> None:
        headers = {"Authorization": f"Token {server.token}", "Content-Type": "application/json"}
        text = str([box(server, version), box(server, version, x="NaN")]).replace("'NaN'", "NaN").replace("'", '"')
        answer = requests.post(f"{server.host}/rest/Localizations/{server.project_id}", data=text, headers=headers)
        assert answer.status_code == 400
        assert api.get_localization_count(server.project_id, version=[version]) == 2
        listed = api.get_localization_list(server.project_id, version=[version])  # Python reads it
        with pytest.raises(ValueError, match="not JSON compliant"):
            json.dumps([one.to_dict() for one in listed], allow_nan=False)
        prune = {"prune": 1, "count": 2}
        api.delete_localization_list(server.project_id, prune, version=[version])


class TestMarks:
    def made(self, server: Server, api, version: int, **fields: Any) -> tuple[str, int]:
        elemental_id = str(uuid.uuid4())
        spec = box(server, version, elemental_id=elemental_id, **fields)
        return elemental_id, api.create_localization_list(server.project_id, body=[spec]).id[0]

    def test_an_edit_adds_a_mark_and_is_replaced_by_a_new_box(self, server: Server, api, version: int) -> None:
        elemental_id, number = self.made(server, api, version)
        as_person(server).update_localization(number, {"attributes": {"Species": "it's 100%"}, "width": 0})
        [edited] = api.get_localization_list(server.project_id, elemental_id=elemental_id)
        assert [edited.mark, edited.modified_by, edited.created_by] == [
            1,
            server.users["person"],
            server.users["admin"],
        ]
        assert (edited.attributes["Species"], edited.width) == ("it's 100%", 0.2)  # a zero is dropped
        spec = box(server, version, elemental_id=elemental_id)
        api.create_localization_list(server.project_id, body=[spec])
        [again] = api.get_localization_list(server.project_id, elemental_id=elemental_id)
        assert (again.mark, again.attributes["Species"]) == (2, "cod")

    def test_tombstone_and_pruning(self, server: Server, api, version: int) -> None:
        elemental_id, number = self.made(server, api, version)
        as_person(server).delete_localization(number, {})
        project = server.project_id
        assert api.get_localization_list(project, version=[version]) == []
        [tombstone] = api.get_localization_list(project, version=[version], show_deleted=1)
        assert (tombstone.variant_deleted, tombstone.mark) == (True, 1)
        everything = {"version": [version], "show_all_marks": 1, "show_deleted": 1}
        body = {"prune": 1, "elemental_ids": [elemental_id], "count": 1}
        assert "expected 1 but would delete 2" in refusal(api.delete_localization_list, project, body, **everything)[1]
        api.delete_localization_list(project, {**body, "count": 2}, **everything)
        assert api.get_localization_list(project, **everything) == []

    def test_pruning_only_the_last_mark_shows_the_one_before(self, server: Server, api, version: int) -> None:
        elemental_id, number = self.made(server, api, version)
        api.update_localization(number, {"x": 0.7})
        api.delete_localization_list(
            server.project_id, {"prune": 1, "elemental_ids": [elemental_id]}, version=[version]
        )
        [before] = api.get_localization_list(server.project_id, version=[version])
        assert (before.id, before.x, before.mark) == (number, 0.1, 0)

    def test_a_patch_by_ids_adds_no_mark(self, server: Server, api, version: int) -> None:
        _, number = self.made(server, api, version)
        patch = {"ids": [number], "attributes": {"Species": "eel"}}
        api.update_localization_list(server.project_id, patch)
        one = api.get_localization(number)
        assert (one.attributes["Species"], one.mark) == ("eel", 0)
        patch["attributes"] = {"Species": "it's"}
        assert "syntax error" in refusal(api.update_localization_list, server.project_id, patch)[1]

    def test_bulk_patch_across_types_is_refused(self, server: Server, api, version: int) -> None:
        self.made(server, api, version)
        self.made(server, api, version, type=server.dot_type_id)
        patch = {"attributes": {"Species": "x"}}
        assert (
            "must be the same" in refusal(api.update_localization_list, server.project_id, patch, version=[version])[1]
        )

    def test_a_version_with_boxes_cannot_be_deleted(self, server: Server, api, version: int) -> None:
        _, number = self.made(server, api, version)
        assert "Found 1 localizations" in refusal(api.delete_version, version)[1]
        api.delete_localization(number, {})
        api.delete_version(version)
        assert refusal(api.get_version, version) == (404, '{"message": "No Version matches the given query."}')


class TestMarkingMedia:
    @pytest.mark.parametrize("value", ["it's", "100%", "a\tb", "a\0b"])
    def test_values_that_fail_in_sql(self, server: Server, api, value: str) -> None:
        for call, args in ((api.update_media, (1,)), (api.update_media_list, (server.project_id,))):
            body = {"attributes": {"Notes": value}} | ({"ids": [1]} if len(args) and args[0] != 1 else {})
            assert refusal(call, *args, body)[0] == 400
        assert api.get_media(1).attributes.get("Notes") != value

    @pytest.mark.parametrize("value", ['a "b" \\ c', "two\nlines", "日本", ""])
    def test_values_that_are_accepted(self, server: Server, api, value: str) -> None:
        api.update_media(1, {"attributes": {"Notes": value}})
        assert api.get_media(1).attributes["Notes"] == value

    def test_empty_ids_change_everything_of_one_type(self, server: Server, api) -> None:
        body = {"ids": [], "attributes": {"Notes": "all"}}
        assert "must be the same" in refusal(api.update_media_list, server.project_id, body)[1]
        api.update_media_list(server.project_id, body, type=server.video_type_id)
        assert {api.get_media(number).attributes["Notes"] for number in (1, 2, 3)} == {"all"}


class TestPermissions:
    def test_a_viewer_can_only_read(self, server: Server, version: int) -> None:
        viewer = tator.get_api(server.host, server.tokens["viewer"])
        assert viewer.get_localization_count_by_id(server.project_id, {}, version=[version]) == 0
        for call, *args in (
            (viewer.update_media, 1, {"attributes": {}}),
            (viewer.create_version, server.project_id, {"name": "x"}),
            (viewer.delete_localization_list, server.project_id, {}),
        ):
            assert refusal(call, *args)[0] == 403
        assert refusal(viewer.create_localization_list, server.project_id, body=[box(server, version)])[0] == 403

    def test_a_person_can_edit_but_not_download(self, server: Server, api, version: int) -> None:
        person = as_person(server)
        person.create_localization_list(server.project_id, body=[box(server, version)])
        key = person.get_media(1).media_files.archival[0].path
        assert refusal(person.get_download_info, server.project_id, {"keys": [key]})[0] == 403
        assert refusal(person.get_project, server.foreign_project_id)[0] == 403
        server.change(
            "project", server.project_id, permissions={"1": "Full Control", "2": "Can Transfer", "3": "View Only"}
        )
        assert person.get_download_info(server.project_id, {"keys": [key]})[0].key == key
        assert refusal(person.get_download_info, server.project_id, {"keys": ["1/12/1/x"]})[0] == 403
        server.change(
            "project", server.project_id, permissions={"1": "Full Control", "2": "Can Edit", "3": "View Only"}
        )

    def test_unknown_project(self, api) -> None:
        assert refusal(api.get_media_list, 99) == (404, '{"message": "No Project matches the given query."}')
