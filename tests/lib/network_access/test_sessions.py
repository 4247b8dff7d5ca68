"""Sessions: redirects of writes and to addresses that are not valid, and proxies that cannot be used."""

import re

import pytest
import requests

from scripts.lib.errors import ServerError, SettingsError
from scripts.lib.network_access import proxies
from scripts.lib.network_access.sessions import Session, proxy_variable, through_proxy
from tests.faults.hosts import host, reply
from tests.workflow import ROOT

ELSEWHERE = "https://192.0.2.7"  # an address that is reserved for documentation


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "PUT"])
@pytest.mark.parametrize("status", [302, 303])
def test_a_redirect_that_would_make_a_write_a_read_is_refused(method, status):
    with (
        host(lambda handler: reply(handler, status, b"", Location="/there")) as (address, asked),
        Session(address) as session,
        pytest.raises(ServerError, match=rf"redirects a {method} request to 127\..*not carried out; set tator\.host"),
    ):
        session.request(method, f"{address}/here")
    assert len(asked) == 1


def test_a_redirect_that_keeps_the_method_is_followed():
    def redirecting(handler):
        reply(handler, 200 if handler.path == "/there" else 307, b"", Location="/there")

    with host(redirecting) as (address, asked), Session(address) as session:
        assert session.post(f"{address}/here", data=b"").request.method == "POST"
    assert len(asked) == 2


@pytest.mark.parametrize("location", ["http://[bad/", "/\xe9", "http://a..b/"])
def test_a_redirect_to_an_address_that_is_not_valid(location):
    with (
        host(lambda handler: reply(handler, 302, b"", Location=location)) as (address, _),
        Session(address) as session,
        pytest.raises(requests.exceptions.InvalidURL),
    ):
        session.get(address)


@pytest.fixture
def proxy(monkeypatch):
    """Return a function that sets the proxy of all addresses."""

    def use(address):
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, address)
            monkeypatch.setenv(name.upper(), address)

    return use


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_a_login_is_named_and_not_the_server(proxy, scheme):
    with host(lambda handler: reply(handler, 407, b"")) as (address, _), Session(ELSEWHERE) as session:
        proxy(address.replace("//", "//user:pa55word@"))
        with pytest.raises(ServerError, match=r"the proxy asks for a login \(407\)") as caught:
            session.get(f"{scheme}://192.0.2.7/")
    assert "pa55word" not in str(caught.value)


@pytest.mark.parametrize("password", ["pa55/word", "pa55?word", "pa55#word", "1/pa55@word"])
@pytest.mark.parametrize("scheme", ["http://", ""])
def test_no_part_of_a_proxys_unquoted_password_is_in_a_message(proxy, scheme, password):
    """`/`, `?` and `#` end the host of an address, so that libraries name what is before them as the port."""
    proxy(f"{scheme}user:{password}@127.0.0.1:9")
    with Session(ELSEWHERE) as session, pytest.raises(SettingsError, match=r"a login with / \? or #") as caught:
        session.get(ELSEWHERE)
    assert not re.search("user|pa55|word", str(caught.value))


@pytest.mark.parametrize(
    "address", ["http://u:p%2Fw@h:1", "u:p@h:1", "h:1", "http://h:1/", "//u:p@h", "", "http://a@b@h"]
)
def test_addresses_of_proxies_that_can_be_read_are_accepted(address):
    assert not proxies.has_unquoted_login(address)


def test_the_entry_point_of_a_driver_checks_the_same():
    assert proxies.UNQUOTED_LOGIN.pattern in (ROOT / "deploy" / "entrypoint.py").read_text()


def test_a_socks_proxy_is_refused(proxy):
    proxy("socks5h://user:pa55word@127.0.0.1:9")
    with (
        Session(ELSEWHERE) as session,
        pytest.raises(SettingsError, match="socks5h:// proxy, which is not supported") as caught,
    ):
        session.get(ELSEWHERE)
    assert "pa55word" not in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "address", "variable", "words"),
    [
        ({}, ELSEWHERE, None, ""),
        (
            {"HTTPS_PROXY": "http://user:pa55word@proxy:3128/"},
            ELSEWHERE,
            "HTTPS_PROXY",
            " through the proxy 'http://...@proxy:3128/' (HTTPS_PROXY)",
        ),
        ({"https_proxy": "proxy:3128"}, ELSEWHERE, "https_proxy", " through the proxy 'proxy:3128' (https_proxy)"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://p"}, ELSEWHERE, None, ""),
        ({"HTTP_PROXY": "http://p"}, ELSEWHERE, None, ""),
        ({"HTTP_PROXY": "http://p"}, "http://192.0.2.7", "HTTP_PROXY", " through the proxy 'http://p' (HTTP_PROXY)"),
        ({"ALL_PROXY": "http://p"}, ELSEWHERE, "ALL_PROXY", " through the proxy 'http://p' (ALL_PROXY)"),
        ({"HTTPS_PROXY": "http://p", "NO_PROXY": "192.0.2.0/24"}, ELSEWHERE, None, ""),
    ],
)
def test_the_proxy_of_an_address_is_named_without_its_login(monkeypatch, environ, address, variable, words):
    for name in proxies.VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert (proxy_variable(address), through_proxy(address)) == (variable, words)
