"""Checks of a tag: what is not a manifest does not move it, and no answer writes commands to the terminal."""

import json

import pytest

from scripts.lib.data_images.oci import digest_of
from scripts.lib.data_images.tags import current_digest
from tests.faults.hosts import host, reply

STORED = "sha256:" + "a" * 64
MANIFEST = json.dumps({"schemaVersion": 2, "config": {}, "layers": []}).encode()


def checked(tmp_path, address, stored=STORED):
    """Check a tag; return its digest, the stored one, and the warnings."""
    name, memory, warnings = f"{address.removeprefix('http://')}/some/net:1", tmp_path / "tag.json", []
    network = {"data_image": name, "archive": None, "digest": None, "fetch": "registry", "ca_file": None}
    memory.write_text(json.dumps({"data_image": name, "digest": stored}))
    return current_digest(network, memory, warnings.append), json.loads(memory.read_text())["digest"], warnings


@pytest.mark.parametrize("page", [b"<html>Sign in</html>", b"{}", b'{"manifests": 5}', b"[]"])
def test_a_page_in_place_of_the_manifest_changes_nothing(tmp_path, page):
    with host(lambda handler: reply(handler, 200, page, Content_Type="text/html")) as (address, _):
        digest, stored, [warning] = checked(tmp_path, address)
    assert (digest, stored) == (STORED, STORED)
    assert "could not check whether its tag has moved" in warning


@pytest.mark.parametrize("header", ["sha256:\x1b[2J\x1b[31mowned", "sha256:1", ""])
def test_without_a_valid_header_the_digest_is_that_of_the_manifest(tmp_path, header):
    with host(lambda handler: reply(handler, 200, MANIFEST, Docker_Content_Digest=header)) as (address, _):
        assert checked(tmp_path, address)[0] == digest_of(MANIFEST)


def test_a_stored_digest_with_commands_is_shown_without_them(tmp_path):
    with host(lambda handler: reply(handler, 200, MANIFEST)) as (address, _):
        _, _, [warning] = checked(tmp_path, address, "sha256:\x1b[2J\x1b[31mowned")
    assert f"and is now {digest_of(MANIFEST)}: it is fetched again" in warning
    assert "\x1b" not in warning
