"""The token and signatures are removed from texts."""

import logging

import pytest
import requests

from scripts.lib.errors import SettingsError
from scripts.lib.network_access.token import Redacting, check_token, redact

SECRET = "f3a9c1d2e4b5a6978877665544332211aabbccdd"


@pytest.fixture(autouse=True)
def _token(monkeypatch):
    monkeypatch.setenv("TATOR_AUTH_TOKEN", SECRET)


@pytest.mark.parametrize(
    "text",
    [
        f"header Authorization: Token {SECRET}",
        f"the value {SECRET} in the middle",
        "Authorization: Bearer abcdefgh12345678",
        "GET http://store/bucket/4/3/2/x.mp4?X-Amz-Signature=abcdefgh12345678&Expires=3",
        "url: /bucket/x.mp4?AWSAccessKeyId=abcdefgh12345678 (Caused by",
        # A file's name with brackets, as requests leaves it; a bracket ends an address in a text.
        "GET http://store/x.mp4?response-content-disposition=a(1).mp4&X-Amz-Signature=abcdefgh12345678 failed",
        "(http://store/x.mp4?name=a(1)&X-Goog-Credential=abcdefgh12345678&X-Goog-Signature=abcdefgh12345678)",
        "http://store/x.mp4?name=it's&sig=abcdefgh12345678",
        "http://front/?to=<x>&Policy=abcdefgh12345678&Key-Pair-Id=abcdefgh12345678&Signature=abcdefgh12345678",
        "redirect=http%3A%2F%2Fstore%2Fx.mp4%3FX-Amz-Signature%3Dabcdefgh12345678",
        "the rest of a line: 1).mp4&AWSAccessKeyId=abcdefgh12345678",
        "to=http%253A%252F%252Fstore%252Fx.mp4%253FX-Amz-Signature%253Dabcdefgh12345678",
        "Failed to parse: http://me:abcdefgh12345678@proxy:3128",
        "tator.host: me:abcdefgh12345678@t.org:8080 has no scheme",
        "no scheme: 'me:p@ss:abcdefgh12345678@[::1]:1080'",
        "proxy https://abcdefgh12345678@proxy refused, as 'socks5://me:p@ss:abcdefgh12345678@[::1]:1080' did",
    ],
)
def test_secrets_are_replaced(text):
    assert SECRET not in redact(text)
    assert "abcdefgh12345678" not in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "why? because = is here",
        "no token given",
        "48 % of frames",
        "a/b/c.mp4",
        "policy: none",
        "sig =",
        "x-amz-= 3",
        "https://t.org/a@b/c",
        "net@sha256:ab",
        "net:1.0@sha256:ab",
        "12:30 me@t.org",
        "ask me@t.org, not https://t.org",
    ],
)
def test_other_text_is_not_changed(text):
    assert redact(text) == text


def test_an_exceptions_address_is_redacted():
    with pytest.raises(requests.ConnectionError) as caught:
        requests.get("http://127.0.0.1:9/x.mp4?X-Amz-Signature=abcdefgh12345678", timeout=5)
    record = logging.LogRecord("x", logging.ERROR, "", 0, "it failed", (), (caught.type, caught.value, caught.tb))
    text = Redacting("%(message)s").format(record)
    assert "it failed" in text
    assert "ConnectionError" in text
    assert "abcdefgh12345678" not in text


@pytest.mark.parametrize("token", ["t\u00f6ken" * 8, "\u0442oken" * 8, "a b", "a\nb", "abc\x00", "\x1b[2J", ""])
def test_a_token_that_a_header_cannot_contain_is_refused_and_not_repeated(token):
    with pytest.raises(SettingsError, match=r"TATOR_AUTH_TOKEN (holds|is not set)") as caught:
        check_token({"TATOR_AUTH_TOKEN": token})
    assert not token or token not in str(caught.value)
