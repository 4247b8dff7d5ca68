"""Registering algorithms as in Tator's source, with the unmodified client."""

import json
from pathlib import Path

import pytest
import requests
import tator
from tator.exceptions import ApiException

from .launch import Server


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "detect.yaml"
    path.write_text("kind: Workflow  # or so\n")
    return path


def refused(call, *arguments) -> tuple[int, str]:
    with pytest.raises(ApiException) as refusal:
        call(*arguments)
    return refusal.value.status, json.loads(refusal.value.body)["message"]


def spec(server: Server, **fields):
    return {"name": "Fish", "user": server.users["admin"], "files_per_job": 1, **fields}


def saved(api, server: Server, text: str) -> str:
    upload = api.get_upload_info(server.project_id)
    assert requests.put(upload.urls[0], data=text).status_code == 200
    address = api.get_download_info(server.project_id, {"keys": [upload.key]})[0].url
    body = {"name": "x/detect.yaml", "upload_url": address}
    return api.save_algorithm_manifest(server.project_id, body).url


def test_the_client_registers_an_algorithm(server: Server, api, manifest: Path) -> None:
    tator.util.register_algorithm(server.host, server.token, server.project_id, str(manifest), "Own", 3, ["a"], "b")
    [made] = [one for one in api.get_algorithm_list(server.project_id) if one.name == "Own"]
    assert (made.user, made.files_per_job, made.categories, made.description) == (server.users["admin"], 3, ["a"], "b")
    [text] = [record["text"] for record in server.all("manifest") if record["path"] == made.manifest]
    assert text == manifest.read_text()


def test_checks_of_a_registration(server: Server, api) -> None:
    good = saved(api, server, "a: 1")
    project = server.project_id
    for fields, status, text in (
        ({}, 400, "'manifest'"),
        ({"manifest": "none.yaml"}, 400, "Provided manifest (none.yaml) does not exist in /media"),
        ({"manifest": saved(api, server, "a: [")}, 400, "while parsing a flow"),
        ({"manifest": good, "files_per_job": 0}, 400, "Provided files_per_job (0) must be at least 1"),
        ({"manifest": good, "user": 99}, 404, "User matching query does not exist."),
        ({"manifest": good, "cluster": 99}, 404, "JobCluster matching query does not exist."),
        (
            {"manifest": good, "user": server.users["person"]},
            403,
            "Only staff users can save an algorithm with cluster",
        ),
        ({"manifest": good, "name": "x" * 129}, 400, "value too long for type character varying(128)"),
    ):
        answered, message = refused(api.register_algorithm, project, spec(server, **fields))
        assert (answered, text in message) == (status, True), message
    number = api.register_algorithm(project, spec(server, manifest=good)).id
    assert "already exists for project" in refused(api.register_algorithm, project, spec(server, manifest=good))[1]
    viewer = tator.get_api(server.host, server.tokens["viewer"])
    assert refused(viewer.register_algorithm, project, spec(server, name="y"))[0] == 403
    assert refused(viewer.get_upload_info, project)[0] == 403
    assert len(viewer.get_algorithm_list(project)) >= 1
    assert refused(viewer.update_algorithm, number, spec(server))[0] == 403


def test_an_update_is_not_checked(server: Server, api) -> None:
    cluster = server.add("job_cluster", organization=1, name="gpu", host="h", port=1, token="t", cert="c")
    made = saved(api, server, "a: 1")
    number = api.register_algorithm(server.project_id, spec(server, name="A", manifest=made, cluster=cluster)).id
    api.register_algorithm(server.project_id, spec(server, name="B", manifest=made))
    api.update_algorithm(number, spec(server, name="B", manifest="none.yaml", cluster=None))
    [changed] = [one for one in api.get_algorithm_list(server.project_id) if one.id == number]
    assert (changed.name, changed.manifest, changed.cluster) == ("B", "none.yaml", cluster)
    assert refused(api.update_algorithm, number, {"name": "B"})[0] == 400
    person = tator.get_api(server.host, server.tokens["person"])
    assert refused(person.update_algorithm, number, spec(server, user=server.users["person"]))[0] == 403


def test_uploads_and_downloads_have_different_addresses(server: Server, api) -> None:
    upload = api.get_upload_info(server.project_id)
    assert requests.get(upload.urls[0]).status_code == 403
    address = api.get_download_info(server.project_id, {"keys": [upload.key]})[0].url
    assert (requests.get(address).status_code, requests.put(address, data="x").status_code) == (404, 403)
    status, message = refused(api.save_algorithm_manifest, server.project_id, {"name": "a", "upload_url": address})
    assert (status, address in message) == (400, True), "Tator shows the address with its signature"
    foreign = api.get_upload_info(server.foreign_project_id).key
    assert refused(api.get_download_info, server.project_id, {"keys": [foreign]})[0] == 403


def test_attributes_are_added(server: Server, api) -> None:
    number = server.localization_type_id
    new = {"name": "Sex", "dtype": "enum", "choices": ["f", "m"]}
    added = {"entity_type": "LocalizationType", "addition": new}
    assert api.create_attribute_type(number, added).message == "New attribute type 'Sex' added"
    [kind] = [one for one in api.get_localization_type_list(server.project_id) if one.id == number]
    assert kind.attribute_types[-1] == {"description": "", "required": False, "order": 0, **new}
    for addition, text in (
        (new, "Sex is already an attribute."),
        ({"name": "Size", "dtype": "enum"}, "missing 'choices' field"),
        ({"name": "$size", "dtype": "int"}, "can not start with '$'"),
        ({"name": "Size's", "dtype": "int"}, "is not valid; it must only contain"),
        ({"dtype": "int"}, "'name'"),
    ):
        status, message = refused(api.create_attribute_type, number, {**added, "addition": addition})
        assert (status, text in message) == (400, True), message
    assert refused(api.create_attribute_type, 99, added)[0] == 404
    person = tator.get_api(server.host, server.tokens["person"])
    assert refused(person.create_attribute_type, number, added)[0] == 403


def test_clusters_are_shown_to_admins_of_the_organization_only(server: Server, api) -> None:
    number = server.add("job_cluster", organization=1, name="gpu", host="h", port=1, token="t", cert="c")
    assert [one.token for one in api.get_job_cluster_list(1) if one.id == number] == ["t"]
    assert refused(api.get_job_cluster_list, 9) == (404, "No Organization matches the given query.")
    person = tator.get_api(server.host, server.tokens["person"])
    status, message = refused(person.get_job_cluster_list, 1)
    assert (status, message) == (403, "User Per Son does not have Admin permissions for organization 1")
