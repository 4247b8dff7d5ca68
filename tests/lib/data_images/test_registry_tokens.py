"""A registry that requires a password: which hosts get it, and answers without a token."""

import base64

import pytest

from scripts.lib.data_images import registry
from scripts.lib.data_images.oci import Descriptor
from scripts.lib.data_images.reference import Reference
from scripts.lib.data_images.registry import Registry
from scripts.lib.errors import ServerError
from tests.faults.hosts import certified, host, reply

pytestmark = pytest.mark.service
BASIC = "Basic " + base64.b64encode(b"user:hunter2").decode()
REALM = 'Bearer realm="https://{}/token",service="x"'


@pytest.fixture(autouse=True)
def password(monkeypatch):
    monkeypatch.setenv("TATOR_REGISTRY_USERNAME", "user")
    monkeypatch.setenv("TATOR_REGISTRY_PASSWORD", "hunter2")
    monkeypatch.setattr(registry, "PAUSE_SECONDS", 0.01)


@pytest.fixture
def tls(tmp_path):
    return certified(tmp_path)


def opened(address, authority):
    return Registry(Reference.parse(f"{address.removeprefix('https://')}/some/net:1"), ca_file=authority)


ASKED_FOR = {
    "manifest": lambda one: one.manifest("1"),
    "blob": lambda one: next(one.blob(Descriptor(f"sha256:{'a' * 64}", 10, {}))),
}


@pytest.mark.parametrize("what", ASKED_FOR)
def test_a_host_to_which_the_registry_redirects_gets_no_password(tls, what):
    """It may name a token server of its own, to which the package would send the password."""
    authority, context = tls

    def asking(handler):
        if "/token" in handler.path:
            reply(handler, 200, b'{"token": "t"}')
        else:
            reply(handler, 401, b"{}", WWW_Authenticate=REALM.format(handler.headers["Host"]))

    with (
        host(asking, tls=context) as (store, got),
        host(lambda handler: reply(handler, 307, b"", Location=f"{store}/there"), tls=context) as (address, _),
        opened(address, authority) as one,
        pytest.raises(ServerError, match=f"redirects to {store.removeprefix('https://')}, which asks"),
    ):
        ASKED_FOR[what](one)
    assert [headers.get("authorization") for headers in got] == [None]


def test_the_token_server_gets_the_password_and_the_registry_the_token(tls):
    authority, context = tls

    def asking(handler):
        if "authorization" in handler.headers:
            reply(handler, 200, b"{}")
        else:
            reply(handler, 401, b"{}", WWW_Authenticate=REALM.format(tokens.removeprefix("https://")))

    with (
        host(lambda handler: reply(handler, 200, b'{"token": "t"}'), tls=context) as (tokens, got),
        host(asking, tls=context) as (address, requests),
        opened(address, authority) as one,
    ):
        assert one.manifest("1") == b"{}"
    assert [headers.get("authorization") for headers in got] == [BASIC]
    assert [headers.get("authorization") for headers in requests] == [None, "Bearer t"]


ODD_TOKENS = [
    b"[]", b"{}", b"null", b"7", b'{"token": 1}', b'{"token": ["a"]}', b'{"token": "s3cret\\r\\nX: y"}',
    b'{"token": "s3cret\\u20ac"}', b'{"access_token": {}, "token": null}', b"[" * 100_000, b"no JSON",
]  # fmt: skip


@pytest.mark.parametrize("answer", ODD_TOKENS, ids=lambda answer: repr(answer[:20]))
def test_a_token_server_that_sends_no_token(tls, answer):
    authority, context = tls

    def asking(handler):
        if "/token" in handler.path:
            reply(handler, 200, answer)
        else:
            reply(handler, 401, b"{}", WWW_Authenticate=REALM.format(handler.headers["Host"]))

    with (
        host(asking, tls=context) as (address, _),
        opened(address, authority) as one,
        pytest.raises(ServerError) as caught,
    ):
        one.manifest("1")
    assert "s3cret" not in str(caught.value)


ODD_QUESTIONS = ["Bearer", 'Bearer service="x"', "Bearer realm", 'Bearer "x"', '"', "Negotiate", 'Bearer realm="/a"']


@pytest.mark.parametrize("question", [None, *ODD_QUESTIONS])
def test_a_registry_with_an_unknown_authentication(tls, question):
    authority, context = tls
    headers = {} if question is None else {"WWW_Authenticate": question}
    with (
        host(lambda handler: reply(handler, 401, b"{}", **headers), tls=context) as (address, _),
        opened(address, authority) as one,
        pytest.raises(ServerError),
    ):
        one.manifest("1")
