"""Files of trusted certificates, for Tator and for registries."""

import pytest
import requests

from scripts.lib.data_images import login
from scripts.lib.errors import SettingsError
from scripts.lib.server import sessions
from tests.faults.hosts import certified, host, openssl, reply

CHECKS = {
    "tator.ca_file": lambda file: sessions.store_session("https://tator.example.org"),
    "network.ca_file": lambda file: login.certificate("registry.example.org", file, "network.ca_file"),
}


@pytest.fixture
def tls(tmp_path):
    return certified(tmp_path)


@pytest.fixture
def files(tmp_path, tls):
    authority, _ = tls
    openssl(tmp_path, "x509", "-in", authority.name, "-outform", "DER", "-out", "der")
    (tmp_path / "empty").write_text("")
    return {"PEM": authority, "DER": tmp_path / "der", "empty": tmp_path / "empty", "absent": tmp_path / "absent"}


@pytest.mark.parametrize("setting", CHECKS)
def test_a_file_without_certificates_is_named_with_its_setting(files, monkeypatch, setting):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "")
    for kind, message in (("DER", "has no usable cert"), ("empty", "has no usable cert"), ("absent", "is not a file")):
        monkeypatch.setenv("TATOR_CA_FILE", str(files[kind]))
        with pytest.raises(SettingsError, match=rf"^{setting}: .*{files[kind].name} {message}"):
            CHECKS[setting](files[kind])
    monkeypatch.setenv("TATOR_CA_FILE", str(files["PEM"]))
    CHECKS[setting](files["PEM"])


def test_a_file_of_the_environment_without_certificates_is_not_a_fault_that_passes(files, tls, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files["DER"]))
    with (
        host(lambda handler: reply(handler, 200, b"{}"), tls=tls[1]) as (address, _),
        sessions.store_session(address) as session,
        pytest.raises(requests.exceptions.SSLError) as caught,
    ):
        session.get(address)
    assert sessions.untrusted(caught.value)


def test_a_file_of_the_environment_that_does_not_exist_is_named(files, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files["absent"]))
    with (
        sessions.store_session("https://127.0.0.1:9") as session,
        pytest.raises(SettingsError, match=r"^REQUESTS_CA_BUNDLE: .*absent does not exist; expected certificates"),
    ):
        session.get("https://127.0.0.1:9")
