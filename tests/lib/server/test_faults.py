"""Answers of Tator, and of gateways before it, are classified by their status and text."""

import json
from types import SimpleNamespace

import pytest
from tator.exceptions import ApiException

from scripts.lib.server.faults import Throttled, TokenRefused, classified


def answer(status, text):
    """Make a call that gets this answer."""

    def call():
        raise ApiException(status=status, http_resp=SimpleNamespace(text=text, headers={}))

    classified("list versions", "https://tator.example.org", call)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (401, json.dumps({"detail": "Invalid token."})),
        (401, "<h1>401 Authorization Required</h1>"),
        (400, json.dumps({"message": "Invalid token."})),
        (400, json.dumps({"message": "User inactive or deleted.", "details": "None"})),
    ],
)
def test_a_refused_token_ends_the_run_with_its_name(status, text):
    with pytest.raises(TokenRefused, match="set TATOR_AUTH_TOKEN to a valid token of this site") as caught:
        answer(status, text)
    assert not caught.value.of_one_media


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (429, "<h1>429 Too Many Requests</h1>"),
        (429, json.dumps({"detail": "Request was throttled."})),
        (400, json.dumps({"message": "Request was throttled. Expected available in 1 second."})),
    ],
)
def test_a_throttled_request_was_not_carried_out(status, text):
    with pytest.raises(Throttled) as caught:
        answer(status, text)
    assert caught.value.ended
