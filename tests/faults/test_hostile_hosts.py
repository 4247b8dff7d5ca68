"""Servers that redirect, send without end, or have a certificate that is not trusted."""

from urllib.parse import urlsplit

import pytest

from scripts.lib.errors import ServerError, SettingsError
from scripts.lib.files import read_json, write_json
from scripts.lib.server import api
from tests.faults.hosts import certified, host, reply, tls_before
from tests.faults.site import Site, media_of_a_site
from tests.scripts.tator_steps import Steps
from tests.tator_server import interface
from tests.tator_server.launch import running


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_the_token_is_not_sent_to_the_target_of_a_redirect_of_tator(steps, status):
    def elsewhere(handler):
        if "/schema" in handler.path:
            reply(handler, 200, interface.TEXT.encode())
        else:
            reply(handler, status, b"", Location=f"{thief}/steal")

    with (
        host(lambda handler: reply(handler, 200, b"[]", Content_Type="application/json")) as (thief, stolen),
        host(elsewhere) as (address, requests),
    ):
        project = api.Project(address, 11)
        project.versions()
    assert any("authorization" in headers for headers in requests)
    assert stolen
    assert not any("authorization" in headers for headers in stolen)
    assert steps.server.token not in str(stolen)


@pytest.fixture
def from_store(steps, monkeypatch):
    """Return a function that downloads from another store, whose addresses Tator gives."""
    steps.resolve(1)

    def download(store):
        monkeypatch.setattr(
            api.Project, "addresses", lambda *_: [f"{store}/bucket/1/11/1/x.mp4?X-Amz-Signature=secret7"]
        )
        return steps.download(1)

    return download


@pytest.mark.usefixtures("impatient")
def test_neither_a_store_nor_the_target_of_its_redirect_gets_the_token(steps, from_store, media_folder):
    video = (media_folder / "clip_910001.mp4").read_bytes()
    with (
        host(lambda handler: reply(handler, 200, video)) as (second, requests_to_second),
        host(lambda handler: reply(handler, 307, b"", Location=f"{second}/x")) as (first, requests_to_first),
    ):
        assert from_store(first)["md5_checked"]
    assert len(requests_to_first) == len(requests_to_second) == 1
    for headers in requests_to_first + requests_to_second:
        assert "authorization" not in headers
        assert steps.server.token not in str(headers)


@pytest.mark.usefixtures("impatient")
def test_a_download_ends_if_a_store_sends_more_than_the_file(steps, from_store):
    def endless(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(10 << 30))
        handler.end_headers()
        while True:
            handler.wfile.write(bytes(1 << 20))

    with host(endless) as (store, _), pytest.raises(ServerError, match=r"received \d+ bytes; Tator's record has 47048"):
        from_store(store)
    assert sum(path.stat().st_size for path in steps.folder.rglob("*")) < 1 << 20


def test_a_size_larger_than_any_disk_is_refused_before_the_download(steps):
    steps.resolve(1)
    record = read_json(steps.folder / "record_1.json")
    record["file"]["size"] = 1 << 60
    write_json(steps.folder / "record_1.json", record)
    with pytest.raises(Exception, match=r"bytes have to be downloaded, and \d+ are free; make room"):
        steps.download(1)
    assert steps.server.requests("Download") == []


def test_terminal_commands_in_an_answer_are_removed(monkeypatch, caplog, capfd):
    monkeypatch.setenv("TATOR_AUTH_TOKEN", "0" * 40)
    body = b"\x1b]0;owned\x07\x1b[2J<html>" + b"0" * 40
    with host(lambda handler: reply(handler, 404, body)) as (address, _), pytest.raises(ServerError) as caught:
        api.Project(address, 1)
    for text in (str(caught.value), caplog.text, *capfd.readouterr()):
        assert "\x1b" not in text
        assert "0" * 40 not in text


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return certified(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def over_tls(steps, authority):
    """Yield the steps against the same server, behind a certificate that only the test's authority signed."""
    _, context = authority
    with tls_before(urlsplit(steps.server.host).port, context) as address:
        yield Steps(steps.folder, ServerAt(steps.server, address))


class ServerAt:
    """A server under another address."""

    def __init__(self, server, address):
        self._server, self.host = server, address

    def __getattr__(self, name):
        return getattr(self._server, name)


def test_a_certificate_of_an_unknown_authority_is_refused_at_once(over_tls):
    with pytest.raises(ServerError, match=r"CERTIFICATE_VERIFY_FAILED.*name its certificate in tator\.ca_file"):
        over_tls.resolve(1)
    assert over_tls.server.requests() == []


def test_the_variable_requests_ca_bundle_names_the_authority(over_tls, authority, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority[0]))
    assert [record["state"] for record in over_tls.resolve(1)] == ["ready"]


def test_a_missing_file_of_certificates_is_refused(over_tls, monkeypatch):
    monkeypatch.setenv("TATOR_CA_FILE", "nowhere.pem")
    with pytest.raises(SettingsError, match=r"tator\.ca_file: nowhere\.pem is not a file; expected certificates"):
        over_tls.resolve(1)


def test_the_certificate_of_the_store_is_checked(from_store, authority):
    message = r"store's certificate is not trusted.*tator\.ca_file"
    with (
        host(lambda handler: reply(handler, 200, b""), tls=authority[1]) as (store, requests),
        pytest.raises(ServerError, match=message) as caught,
    ):
        from_store(store)
    assert requests == []
    assert "secret7" not in str(caught.value)


def test_an_https_address_of_a_server_without_tls(steps):
    with pytest.raises(ServerError, match=r"WRONG_VERSION_NUMBER.*see tator\.host"):
        api.Project(steps.server.host.replace("http:", "https:"), 11)


def test_a_whole_run_with_the_certificate_of_the_authority(tmp_path, authority, undisturbed):
    bundle, context = authority
    media_of_a_site(tmp_path / "media")
    with running(tmp_path / "media", tmp_path / "state") as server:
        with tls_before(urlsplit(server.host).port, context) as address:
            site = Site(server, tmp_path / "run")
            site.settings["tator"] |= {"host": address, "ca_file": str(bundle)}
            site.run_ok()
        assert site.state() == undisturbed
