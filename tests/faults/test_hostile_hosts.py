"""Test servers that redirect, send without end, or have a certificate that is not trusted."""

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
def test_the_token_does_not_follow_a_redirect_of_tators(steps, status):
    def elsewhere(handler):
        if "/schema" in handler.path:
            reply(handler, 200, interface.TEXT.encode())
        else:
            reply(handler, status, b"", Location=f"{thief}/steal")

    with (
        host(lambda handler: reply(handler, 200, b"[]", Content_Type="application/json")) as (thief, stolen),
        host(elsewhere) as (address, asked),
    ):
        project = api.Project(address, 11)
        project.versions()
    assert any("authorization" in headers for headers in asked)
    assert stolen
    assert not any("authorization" in headers for headers in stolen)
    assert steps.server.token not in str(stolen)


@pytest.fixture
def from_store(steps, monkeypatch):
    """Let Tator name another store; return a function that downloads from it."""
    steps.resolve(1)

    def download(store):
        monkeypatch.setattr(
            api.Project, "addresses", lambda *_: [f"{store}/bucket/1/11/1/x.mp4?X-Amz-Signature=secret7"]
        )
        return steps.download(1)

    return download


@pytest.mark.usefixtures("impatient")
def test_a_store_that_redirects_gets_no_token_and_its_redirect_neither(steps, from_store, media_folder):
    video = (media_folder / "clip_910001.mp4").read_bytes()
    with (
        host(lambda handler: reply(handler, 200, video)) as (second, there),
        host(lambda handler: reply(handler, 307, b"", Location=f"{second}/x")) as (first, here),
    ):
        assert from_store(first)["md5_checked"]
    assert len(here) == len(there) == 1
    for headers in here + there:
        assert "authorization" not in headers
        assert steps.server.token not in str(headers)


@pytest.mark.usefixtures("impatient")
def test_a_store_that_sends_without_end_is_left_when_the_file_is_whole(steps, from_store):
    def endless(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(10 << 30))
        handler.end_headers()
        while True:
            handler.wfile.write(bytes(1 << 20))

    with host(endless) as (store, _), pytest.raises(ServerError, match=r"bytes came, Tator says 47048"):
        from_store(store)
    assert sum(path.stat().st_size for path in steps.folder.rglob("*")) < 1 << 20


def test_a_size_that_no_disk_has_is_refused_before_a_byte_is_asked_for(steps):
    steps.resolve(1)
    record = read_json(steps.folder / "record_1.json")
    record["file"]["size"] = 1 << 60
    write_json(steps.folder / "record_1.json", record)
    with pytest.raises(Exception, match=r"bytes are to come and \d+ are free; make room"):
        steps.download(1)
    assert steps.server.requests("Download") == []


def test_answer_with_terminal_commands_in_it(monkeypatch, caplog, capfd):
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
    """The same server, behind a certificate that only a test's own authority vouches for."""
    _, context = authority
    with tls_before(urlsplit(steps.server.host).port, context) as address:
        yield Steps(steps.folder, Behind(steps.server, address))


class Behind:
    """A server under another address."""

    def __init__(self, server, address):
        self._server, self.host = server, address

    def __getattr__(self, name):
        return getattr(self._server, name)


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(over_tls):
    with pytest.raises(ServerError, match=r"CERTIFICATE_VERIFY_FAILED.*name its certificate in tator\.ca_file"):
        over_tls.resolve(1)
    assert over_tls.server.requests() == []


def test_the_usual_variable_names_the_authority_too(over_tls, authority, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority[0]))
    assert [record["state"] for record in over_tls.resolve(1)] == ["ready"]


def test_an_authority_without_a_file(over_tls, monkeypatch):
    monkeypatch.setenv("TATOR_CA_FILE", "nowhere.pem")
    with pytest.raises(SettingsError, match=r"tator\.ca_file: nowhere\.pem is not a file; expected certificates"):
        over_tls.resolve(1)


def test_the_stores_certificate_is_checked_too(from_store, authority):
    words = r"store's certificate is not trusted.*tator\.ca_file"
    with (
        host(lambda handler: reply(handler, 200, b""), tls=authority[1]) as (store, asked),
        pytest.raises(ServerError, match=words) as caught,
    ):
        from_store(store)
    assert asked == []
    assert "secret7" not in str(caught.value)


def test_plain_http_where_tls_was_said(steps):
    with pytest.raises(ServerError, match=r"WRONG_VERSION_NUMBER.*see tator\.host"):
        api.Project(steps.server.host.replace("http:", "https:"), 11)


def test_a_whole_run_with_the_authoritys_certificate(tmp_path, authority, undisturbed):
    bundle, context = authority
    media_of_a_site(tmp_path / "media")
    with running(tmp_path / "media", tmp_path / "state") as server:
        with tls_before(urlsplit(server.host).port, context) as address:
            site = Site(server, tmp_path / "run")
            site.settings["tator"] |= {"host": address, "ca_file": str(bundle)}
            site.goes_well()
        assert site.state() == undisturbed
