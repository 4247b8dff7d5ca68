"""The engine's client, without an engine: what its credential helpers get."""

import json
import stat

from scripts.lib.data_images import docker_images
from scripts.lib.data_images.reference import Reference
from tests.faults.hosts import host, reply

DIGEST = "sha256:" + "b" * 64


def test_a_helper_gets_none_of_the_runs_secrets_and_its_output_is_cleaned(tmp_path, monkeypatch, capfd):
    def engine(handler):
        if "/version" in handler.path:
            content = {"ApiVersion": "1.44", "Version": "27"}
        elif "/distribution/" in handler.path:
            content = {"Descriptor": {"digest": DIGEST}, "Platforms": []}
        else:
            content = {"message": "No such image"}
        reply(handler, 404 if "message" in content else 200, json.dumps(content).encode())

    helper = tmp_path / "docker-credential-test"
    helper.write_text(
        f"#!/bin/sh\nenv > {tmp_path}/seen\nprintf '\\033[2J %s' $TATOR_AUTH_TOKEN >&2\n"
        'echo \'{"Username": "user", "Secret": "secret"}\'\n'
    )
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {"registry.example.org": "test"}}))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("TATOR_AUTH_TOKEN", "TATOR_REGISTRY_PASSWORD"):
        monkeypatch.setenv(name, "t0ken" * 8)
    with host(engine) as (address, requests):
        monkeypatch.setenv("DOCKER_HOST", address.replace("http", "tcp"))
        with docker_images.engine() as client:
            assert docker_images.current_digest(client, Reference.parse("registry.example.org/some/net:1")) == DIGEST
    assert any("x-registry-auth" in headers for headers in requests)
    assert "t0ken" not in (tmp_path / "seen").read_text()
    assert capfd.readouterr().err == ""
