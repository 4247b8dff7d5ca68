"""Files with logins to registries, as Docker and Kubernetes write them."""

import base64

import pytest

from scripts.lib.data_images import login

LOGIN = base64.b64encode(b"me:word").decode()


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"auth": LOGIN}, {"auth": LOGIN}),
        ({"username": "me", "password": "word"}, {"username": "me", "password": "word", "auth": LOGIN}),
        ({"username": "me", "password": "word", "auth": ""}, {"username": "me", "password": "word", "auth": LOGIN}),
        ({"auth": ""}, {}),
    ],
)
def test_an_empty_login_is_completed_or_removed(entry: dict[str, str], expected: dict[str, str]) -> None:
    assert login._completed({"auths": {"registry.example.org": entry}}) == {"auths": {"registry.example.org": expected}}
