"""The cache of the server's schema: it is parsed once for all jobs, and another user's file is not trusted."""

import json
import re
from pathlib import Path

import pytest
import yaml
from tator.openapi import client

from scripts.lib.errors import ServerError
from scripts.lib.network_access import sessions
from scripts.lib.server import api, schema
from scripts.lib.server.faults import ServerUnavailable
from scripts.lib.server.outages import Outage
from tests.faults.hosts import host, reply
from tests.tator_server import interface


@pytest.fixture
def parsed(tmp_path, monkeypatch):
    """Change to a run's folder, with a token; return the texts that are parsed as YAML from then on."""
    (tmp_path / "resources").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TATOR_AUTH_TOKEN", "0" * 40)
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "0")
    texts, loader = [], getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the loader in C takes a tenth of the time
    monkeypatch.setattr(yaml, "safe_load", lambda text: texts.append(text) or yaml.load(text, loader))
    return texts


@pytest.fixture
def new_job(monkeypatch):
    """Return a function that connects like a new process, without this process's cache."""

    def connect(address):
        monkeypatch.setattr(client, "_schema_cache", {})
        return api.Project(address, 11)

    return connect


def serving(schema):
    """Answer like Tator: 301 to the address with a slash, 304 to requests with the ETag `schema["ETag"]`."""

    def answer(handler):
        if handler.path == "/schema":
            reply(handler, 301, b"", Location="/schema/")
        elif handler.path != "/schema/":
            reply(handler, 200, b"[]", Content_Type="application/json")
        elif schema.get("ETag") and handler.headers.get("If-None-Match") == schema["ETag"]:
            reply(handler, 304, b"", ETag=schema["ETag"])
        else:
            reply(handler, 200, schema["text"].encode(), **{key: schema[key] for key in ("ETag",) if key in schema})

    return answer


def test_the_second_job_gets_304_and_parses_nothing(tator_server, parsed, new_job, monkeypatch):
    monkeypatch.setenv("TATOR_AUTH_TOKEN", tator_server.token)
    first = new_job(tator_server.host).versions()
    assert new_job(tator_server.host).versions() == first
    assert len(parsed) == 1
    assert [request["status"] for request in tator_server.requests("GetSchema")] == [200, 304]
    text = schema.KEPT.read_text()
    assert tator_server.token not in text
    assert json.loads(text)["schema"] == interface.DOCUMENT


def test_changed_schema_is_loaded_again(parsed, new_job):
    schema = {"ETag": '"1"', "text": interface.TEXT}
    with host(serving(schema)) as (address, _):
        new_job(address)
        schema |= {"ETag": '"2"', "text": interface.TEXT.replace("Whoami", "GetVersionsNow")}
        assert new_job(address)._api.get_versions_now() == []
        new_job(address)
    assert len(parsed) == 2


def test_schema_of_a_server_without_an_etag_is_not_cached(parsed, new_job):
    with host(serving({"text": interface.TEXT})) as (address, _):
        new_job(address)
        assert new_job(address).versions() == []
    assert len(parsed) == 2
    assert not schema.KEPT.exists()


def test_a_schema_with_dates_is_cached(parsed, new_job):
    text = interface.TEXT.replace("info: {", "info: {x-date: 2025-06-06, ")
    with host(serving({"ETag": '"1"', "text": text})) as (address, _):
        new_job(address)
        new_job(address)
    assert len(parsed) == 1


def elsewhere(kept):
    return kept | {"url": "https://other.example.org/schema"}


def older_client(kept):
    return kept | {"client": "1.8.0"}


def cut_short(kept):
    return kept | {"endpoints": {name: one for name, one in kept["endpoints"].items() if "localization" not in name}}


def to_another_host(kept):
    path = {"path": "@thief.example.org/rest/Versions/{project}"}
    return kept | {"endpoints": {name: endpoint | path for name, endpoint in kept["endpoints"].items()}}


@pytest.mark.parametrize(
    "change", [elsewhere, older_client, cut_short, to_another_host, lambda kept: {}, lambda kept: [kept]]
)
def test_cache_of_another_server_or_client_is_replaced(parsed, new_job, change):
    with host(serving({"ETag": '"1"', "text": interface.TEXT})) as (address, _):
        new_job(address)
        schema.KEPT.write_text(json.dumps(change(json.loads(schema.KEPT.read_text()))))
        assert new_job(address).versions() == []
        new_job(address)
    assert len(parsed) == 2


def cut(kept):
    kept.write_bytes(kept.read_bytes()[:1000])


def writable_by_all(kept):
    kept.chmod(0o666)


def linked(kept):
    kept.rename("elsewhere.json")
    kept.symlink_to("../elsewhere.json")


@pytest.mark.parametrize("harm", [cut, writable_by_all, linked])
def test_untrusted_and_damaged_caches_are_replaced(parsed, new_job, harm):
    with host(serving({"ETag": '"1"', "text": interface.TEXT})) as (address, _):
        new_job(address)
        harm(schema.KEPT)
        new_job(address)
        new_job(address)
    assert len(parsed) == 2
    assert not schema.KEPT.is_symlink()


@pytest.mark.parametrize("obstacle", ["no folder", "a folder of its name"])
def test_a_run_continues_if_the_cache_cannot_be_written(parsed, new_job, obstacle):
    if obstacle == "no folder":
        schema.KEPT.parent.rmdir()
    else:
        schema.KEPT.mkdir()
    with host(serving({"ETag": '"1"', "text": interface.TEXT})) as (address, _):
        new_job(address)
        assert new_job(address).versions() == []
    assert len(parsed) == 2


@pytest.mark.usefixtures("parsed")
def test_a_request_for_the_schema_has_a_time_limit(tator_server, new_job, monkeypatch):
    monkeypatch.setattr(sessions, "READ_SECONDS", 0.2)
    tator_server.fault("slow", operation="GetSchema", seconds=1, times=None)
    with pytest.raises(ServerError, match=r"connect.*Read timed out"):
        new_job(tator_server.host)


# As of a connection that ends early without a length: everything before an operation, still valid YAML.
CUT = interface.TEXT[: interface.TEXT.index("\n  /rest/Localizations/")]


def test_a_schema_that_is_cut_short_is_requested_again_and_not_cached(parsed, new_job, monkeypatch):
    monkeypatch.setenv("TATOR_PATIENCE_SECONDS", "5")
    served, texts = {"ETag": '"1"', "text": CUT}, []

    def answer(handler):
        served["text"] = interface.TEXT if texts else CUT
        texts.append(served["text"])
        serving(served)(handler)

    with host(lambda handler: (answer if handler.path == "/schema/" else serving(served))(handler)) as (address, _):
        assert list(new_job(address).boxes(7, 1, 1)) == []
    assert texts == [CUT, interface.TEXT]
    assert json.loads(schema.KEPT.read_text())["schema"] == interface.DOCUMENT


def test_a_schema_that_stays_cut_is_reported(parsed, new_job):
    with (
        host(serving({"ETag": '"1"', "text": CUT})) as (address, _),
        pytest.raises(ServerUnavailable, match=r"/schema was cut short.*: it lacks create_localization_list; .*later"),
    ):
        new_job(address)
    assert not schema.KEPT.exists()


def test_the_operations_are_those_that_the_jobs_call():
    called = {
        name
        for file in Path(schema.__file__).parent.glob("*.py")
        for name in re.findall(r"_api\.(\w+)", file.read_text())
    }
    assert called - {"session"} == schema.OPERATIONS


@pytest.mark.parametrize(
    "text", ["<html>We are upgrading</html>", "paths: {/a: {get: {operationId: GetA, parameters: }}}", "{"]
)
def test_another_document_is_a_wrong_address_or_an_outage_of_a_site_that_has_answered(parsed, new_job, text):
    with host(serving({"text": text})) as (address, _):
        with pytest.raises(ServerError, match=r"/schema is not an OpenAPI document; is tator\.host a Tator site\?"):
            new_job(address)
        Outage(address, "connect").clear()
        with pytest.raises(ServerUnavailable, match=r"/schema is not an OpenAPI document; tried for .*run again later"):
            new_job(address)
