"""Sessions: no password files, no local addresses, answers with a limit."""

import contextlib
import gzip
import socket
import zlib

import pytest
import requests

from scripts.lib.errors import SettingsError
from scripts.lib.network_access import plain_http
from scripts.lib.network_access.addresses import ForbiddenAddress, Guard, kind_of, literal
from scripts.lib.network_access.answers import LARGEST_ERROR, AnswerTooLarge
from scripts.lib.network_access.sessions import Session, TokenAuth
from tests.faults.hosts import host, reply

ELSEWHERE = "https://192.0.2.7"  # an address that is reserved for documentation


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("127.0.0.1", "loopback"),
        ("127.8.9.10", "loopback"),
        ("0.0.0.0", "loopback"),
        ("0.1.2.3", "loopback"),
        ("::1", "loopback"),
        ("::", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::127.0.0.1", "loopback"),
        ("64:ff9b::7f00:1", "loopback"),
        ("2002:7f00:1::", "loopback"),
        ("169.254.169.254", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("64:ff9b::a9fe:a9fe", "link-local"),
        ("fe80::1%eth0", "link-local"),
        ("fd00:ec2::254", "link-local"),
        ("100.100.100.200", "link-local"),
        ("192.0.0.192", "link-local"),
        ("168.63.129.16", "link-local"),
        ("fd20:ce::254", "link-local"),
        ("::ffff:168.63.129.16", "link-local"),
        ("224.0.0.1", "link-local"),
        ("64:ff9b:1::7f00:1", "loopback"),
        ("64:ff9b:1:2::a9fe:a9fe", "link-local"),
        ("::ffff:0:7f00:1", "loopback"),
        ("2001:db8::5efe:7f00:1", "loopback"),
        ("fe80::5efe:192.0.2.1", "link-local"),
        ("2001::80ff:fffe", "loopback"),
        ("fd00:ec2::23", "link-local"),
        ("255.255.255.255", "link-local"),
        ("2001:db8::5efe:192.0.2.1", None),
        ("10.1.2.3", None),
        ("192.168.1.1", None),
        ("fd12::1", None),
        ("192.0.2.1", None),
        ("2001:db8::1", None),
    ],
)
def test_kinds_of_addresses(address, kind):
    assert kind_of(address) == kind


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::1]", "127.0.0.1.", "0", "[::ffff:7f00:1]"]
)
def test_notations_of_loopback_addresses(host):
    assert kind_of(literal(host)) == "loopback"
    with pytest.raises(ForbiddenAddress, match="is loopback"):
        Guard(ELSEWHERE).check_name(host)


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST.", "a.localhost", "2130706433", "0x7f.1", "127.0.0.1"])
def test_another_machines_site_cannot_refer_to_this_machine(name):
    with (
        host(lambda handler: reply(handler, 200, b"secret")) as (address, asked),
        Session(ELSEWHERE) as session,
        pytest.raises(ForbiddenAddress, match="sends this machine to"),
    ):
        session.get(f"http://{name}:{address.rpartition(':')[2]}/latest/meta-data")
    assert asked == []


def test_a_name_that_resolves_to_this_machine(monkeypatch):
    getaddrinfo = socket.getaddrinfo

    def resolved_here(name, *args, **kwargs):
        return getaddrinfo("127.0.0.1" if name == "store.example.org" else name, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolved_here)
    with host(lambda handler: reply(handler, 200, b"secret")) as (address, asked):
        port = address.rpartition(":")[2]
        with (
            Session(ELSEWHERE) as session,
            pytest.raises(ForbiddenAddress, match=r"store\.example\.org, whose address"),
        ):
            session.get(f"http://store.example.org:{port}/")
    assert asked == []


def test_a_name_that_changes_between_the_check_and_the_connection(monkeypatch):
    getaddrinfo, answers = socket.getaddrinfo, iter(["192.0.2.9"])

    def rebinding(name, *args, **kwargs):
        return getaddrinfo(next(answers, "127.0.0.1") if name == "store.example.org" else name, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with host(lambda handler: reply(handler, 200, b"secret")) as (address, asked):
        port = address.rpartition(":")[2]
        with Session(ELSEWHERE) as session, pytest.raises(ForbiddenAddress, match=r"127\.0\.0\.1 is loopback"):
            session.get(f"http://store.example.org:{port}/")
    assert asked == []


def test_a_site_on_this_machine_may_name_a_store_on_it_but_no_metadata_service():
    with host(lambda handler: reply(handler, 200, b"content")) as (address, _), Session("http://localhost") as session:
        assert session.get(address).content == b"content"
        with pytest.raises(ForbiddenAddress, match=r"169\.254\.169\.254 is link-local"):
            session.get("http://169.254.169.254/latest/meta-data")


def test_a_redirect_to_a_metadata_service():
    def elsewhere(handler):
        reply(handler, 307, b"", Location="http://169.254.169.254/latest/meta-data")

    with host(elsewhere) as (address, _), Session(address) as session, pytest.raises(ForbiddenAddress):
        session.get(address)


def test_behind_a_proxy_addresses_are_checked_as_they_are_written(monkeypatch):
    with host(lambda handler: reply(handler, 200, b"through the proxy")) as (proxy, asked):
        monkeypatch.setenv("HTTP_PROXY", proxy)
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with Session(ELSEWHERE) as session:
            assert session.get("http://store.example.org/x").content == b"through the proxy"
            for name in (
                *("169.254.169.254", "169.254.169.254.", "2852039166", "%31%32%37.0.0.1", "[::ffff:a9fe:a9fe]"),
                *("metadata.google.internal", "IP6-localhost", "user:word@localhost"),
            ):
                with pytest.raises(ForbiddenAddress):
                    session.get(f"http://{name}/latest/meta-data")
    assert len(asked) == 1


@pytest.fixture
def netrc(tmp_path, monkeypatch):
    """Make a .netrc with a password for every host."""
    path = tmp_path / ".netrc"
    path.write_text("default login somebody password hunter2\n")
    path.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(path))


@pytest.mark.usefixtures("netrc")
def test_a_password_file_is_not_read():
    def redirecting(handler):
        reply(handler, 302 if handler.path == "/a" else 200, b"", Location="/b")

    with host(redirecting) as (address, asked):
        assert requests.get(f"{address}/b").ok  # requests without this session sends the password
        assert "authorization" in asked.pop()
        with Session(address) as session:
            session.get(f"{address}/a")
        assert len(asked) == 2
        assert not any("authorization" in headers for headers in asked)


@pytest.mark.usefixtures("netrc")
def test_the_token_is_sent_only_to_its_site():
    with host(lambda handler: reply(handler, 200, b"")) as (other, stolen):

        def elsewhere(handler):
            reply(handler, 302 if handler.path == "/a" else 200, b"", Location=f"{other}/b")

        with host(elsewhere) as (address, asked), Session(address, TokenAuth(address, "t" * 40)) as session:
            session.get(f"{address}/a")
            session.get(f"{other}/b")
        assert [headers.get("authorization") for headers in asked] == ["Token " + "t" * 40]
        assert [headers.get("authorization") for headers in stolen] == [None, None]


def test_credentials_in_an_address_go_to_that_address():
    with host(lambda handler: reply(handler, 200, b"")) as (address, asked), Session(address) as session:
        session.get(address.replace("//", "//user:password@"))
    assert asked[0]["authorization"].startswith("Basic ")


def _endless(handler, status, piece, **headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    for _ in range(4096):  # far more than the limits
        handler.wfile.write(piece)


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_a_small_answer_that_unpacks_to_a_large_one(name):
    plain = bytes(64 << 20)
    body = gzip.compress(plain) if name == "gzip" else zlib.compress(plain)
    assert len(body) < 1 << 17
    with (
        host(lambda handler: reply(handler, 200, body, Content_Encoding=name)) as (address, _),
        Session(address, limit=1 << 20) as session,
        pytest.raises(AnswerTooLarge, match=r"127\.0\.0\.1:\d+ sent more than 1048576 bytes"),
    ):
        session.get(address)


def test_an_endless_answer():
    with (
        host(lambda handler: _endless(handler, 200, bytes(1 << 16))) as (address, _),
        Session(address, limit=1 << 20) as session,
        pytest.raises(AnswerTooLarge, match="sent more than 1048576 bytes"),
    ):
        session.get(address)


def test_an_endless_error_is_cut():
    with host(lambda handler: _endless(handler, 400, b"word " * 1000)) as (address, _), Session(address) as session:
        assert len(session.get(address).content) == LARGEST_ERROR


def test_a_redirect_with_an_endless_body():
    def redirecting(handler):
        if handler.path == "/b":
            reply(handler, 200, b"")
        else:
            _endless(handler, 302, bytes(1 << 16), Location="/b")

    with (
        host(redirecting) as (address, _),
        Session(address, limit=1 << 20) as session,
        pytest.raises(AnswerTooLarge),
    ):
        session.get(address)


@pytest.mark.parametrize("stream", [False, True])
def test_a_redirect_whose_body_cannot_be_unpacked_is_not_read_on(stream):
    """Requests would read the rest of the body, 99 GB according to its length."""
    sent = []

    def answer(handler):
        if handler.path == "/there":
            reply(handler, 200, b"{}")
            return
        with contextlib.suppress(OSError):
            length = {"Content-Length": str(99 * 10**9)}
            reply(handler, 302, b"no gzip", Location="/there", Content_Encoding="gzip", **length)
            for _ in range(256):
                sent.append(handler.wfile.write(bytes(1 << 20)))

    with host(answer) as (address, _):
        assert Session(address).get(f"{address}/here", stream=stream).content == b"{}"
    assert sum(sent) < 2**27


def test_a_streamed_answer_has_no_limit():
    body = bytes(3 << 20)
    with (
        host(lambda handler: reply(handler, 200, body)) as (address, _),
        Session(address, limit=1 << 20) as session,
        session.get(address, stream=True) as answer,
    ):
        assert b"".join(answer.iter_content(1 << 16)) == body


def test_plain_http_is_allowed_by_the_environment_with_a_warning(monkeypatch, caplog):
    monkeypatch.delenv(plain_http.VARIABLE, raising=False)
    with pytest.raises(SettingsError, match="has no TLS"):
        plain_http.check("http://tator.example.org")
    monkeypatch.setenv(plain_http.VARIABLE, "true")
    plain_http.check("http://tator.example.org")
    assert "others on the network can read the token" in caplog.text
