"""The system's message for a failed connection."""

import socket
import threading

import pytest
import requests
import urllib3

from scripts.lib.network_access.causes import innermost_cause
from tests.docker_engine import free_port


def raised(address, **options):
    with pytest.raises(requests.RequestException) as error:
        requests.get(address, timeout=5, **options)
    return error.value


def test_nothing_listens():
    message = innermost_cause(raised(f"http://127.0.0.1:{free_port()}/key?X-Amz-Signature=abc"))
    assert message == "Failed to establish a new connection: [Errno 111] Connection refused"


def close_the_first(server):
    server.accept()[0].close()


def test_a_connection_that_is_closed_without_an_answer():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        threading.Thread(target=close_the_first, args=(server,), daemon=True).start()
        message = innermost_cause(raised(f"http://127.0.0.1:{server.getsockname()[1]}/key?X-Amz-Signature=abc"))
    assert message in ("Remote end closed connection without response", "[Errno 104] Connection reset by peer")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (requests.ConnectionError(), "ConnectionError"),
        (requests.ConnectionError(urllib3.exceptions.ProtocolError("broken", OSError(5, "I/O"))), "[Errno 5] I/O"),
        (requests.ConnectionError("see https://store/key?X-Amz-Signature=abc"), "see "),
        (requests.ConnectionError("Http(host='h', port=9): x"), "x"),
    ],
)
def test_innermost_message(error, message):
    assert innermost_cause(error) == message
