"""Blobs whose transfer breaks in unusual ways, and the messages about failures."""

import gzip
import os
import random

import pytest

from scripts.lib.data_images import registry
from scripts.lib.data_images.oci import Descriptor, digest_of
from scripts.lib.data_images.reference import Reference
from scripts.lib.data_images.registry import Registry
from scripts.lib.errors import ServerError
from tests.faults.hosts import certified, host, reply

BLOB = random.Random(1).randbytes(300_000)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(registry, "PAUSE_SECONDS", 0.01)


def opened(address, **settings):
    return Registry(Reference.parse(f"{address.partition('//')[2]}/some/net:1"), **settings)


def pulled(store):
    return b"".join(store.blob(Descriptor(digest_of(BLOB), len(BLOB), {})))


def requested(handler):
    """Return the first byte that a request asks for."""
    return int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))


def test_a_damaged_tls_record_is_an_interruption(tmp_path):
    def answer(handler):
        if "/blobs/" not in handler.path:
            reply(handler, 200, b"{}")
        elif start := requested(handler):
            reply(handler, 206, BLOB[start:])
        else:
            reply(handler, 200, BLOB[:100_000], **{"Content-Length": str(len(BLOB))})
            os.write(handler.connection.fileno(), b"\x17\x03\x03\x00\x40" + b"z" * 64)

    authority, context = certified(tmp_path)
    with host(answer, tls=context) as (address, _), opened(address, ca_file=authority) as store:
        assert pulled(store) == BLOB


@pytest.mark.parametrize("damage", ["cut", "wrong bytes"])
def test_a_blob_with_a_content_encoding_is_continued_from_its_start(damage):
    """A range would count encoded bytes."""
    packed, blobs = gzip.compress(BLOB), []

    def answer(handler):
        if "/blobs/" not in handler.path:
            reply(handler, 200, b"{}")
            return
        blobs.append(handler.headers.get("Range"))
        sent = packed
        if len(blobs) == 1:
            sent = packed[:100_000] + (b"" if damage == "cut" else bytes(len(packed) - 100_000))
        reply(handler, 200, sent, Content_Encoding="gzip", **{"Content-Length": str(len(packed))})

    with host(answer) as (address, _), opened(address) as store:
        assert pulled(store) == BLOB
    assert blobs == [None, None]


@pytest.mark.parametrize(("status", "times"), [(451, ""), (503, ", 5 times")])
def test_a_message_counts_the_tries_only_if_there_were_several(status, times):
    with (
        host(lambda handler: reply(handler, status, b"no")) as (address, _),
        opened(address) as store,
        pytest.raises(ServerError, match=rf"the registry fails \({status}\) at manifest 1{times}; check"),
    ):
        store.manifest("1")


def test_a_redirect_to_an_address_that_is_not_valid():
    with (
        host(lambda handler: reply(handler, 307, b"", Location="http://[bad/x")) as (address, _),
        opened(address) as store,
        pytest.raises(ServerError, match=r"the registry fails \(ValueError: Invalid IPv6 URL\) at manifest 1; check"),
    ):
        store.manifest("1")


def test_a_proxy_that_does_not_answer_is_named(monkeypatch):
    for name in ("https_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://user:pa55word@127.0.0.1:1")
    words = r"refused\) at manifest 1, 5 times through the proxy 'http://\.\.\.@127\.0\.0\.1:1' \(HTTPS_PROXY\); check"
    with opened("https://images.example.org") as store, pytest.raises(ServerError, match=words) as caught:
        store.manifest("1")
    assert "pa55word" not in str(caught.value)
