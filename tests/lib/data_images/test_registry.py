"""A real registry without an engine: passwords, tokens, certificates, and the places of credentials."""

import base64
import json
import os
import stat

import pytest
from docker.auth import INDEX_NAME

from scripts.lib.data_images import login, oci, registry
from scripts.lib.data_images.build import build
from scripts.lib.data_images.members import Members
from scripts.lib.data_images.reference import Reference
from scripts.lib.data_images.registry import Registry
from scripts.lib.errors import ServerError, SettingsError
from tests.docker_engine import registry_or_skip, self_signed
from tests.faults.hosts import certified, host, reply
from tests.oci_server import token_server

pytestmark = pytest.mark.docker

AUTH = base64.b64encode(b"user:secret").decode()
WRONG = base64.b64encode(b"user:wr0ng").decode()


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """Hide the credentials of the user who runs the tests."""
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "TATOR_REGISTRY_USERNAME", "TATOR_REGISTRY_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(registry, "PAUSE_SECONDS", 0.01)


@pytest.fixture
def image(tmp_path):
    for name in ("graph.pb", "train.ini"):
        (tmp_path / name).write_bytes(name.encode() * 100_000)
    (tmp_path / "made").mkdir()
    return build({name: tmp_path / name for name in ("graph.pb", "train.ini")}, {}, tmp_path / "made")


def push(image, address, **settings):
    config = image.layer.with_name("config.json")
    config.write_bytes(image.config)
    with Registry(Reference.parse(f"{address}/some/net:1"), **settings) as store:
        store.push_blob(image.layer, image.layer_digest)
        store.push_blob(config, image.image_id)
        store.push_manifest("1", image.manifest.decode())
        return store.digest("1")


def pull(folder, address, **settings):
    folder.mkdir(exist_ok=True)
    members = Members(folder, ("graph.pb", "train.ini"))
    with Registry(Reference.parse(f"{address}/some/net:1"), **settings) as store:
        found, layers = oci.resolve(store, "1", "it")
        oci.apply(layers, members, "it")
    assert members.found["graph.pb"].read_bytes() == b"graph.pb" * 100_000
    return found


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return str(path)


@pytest.fixture(scope="module")
def private():
    """A registry with TLS and a password."""
    with registry_or_skip(tls=True, basic=True) as one:
        yield one


def test_pushes_and_pulls_without_tls_on_this_machine(image, tmp_path):
    with registry_or_skip() as plain:
        assert push(image, plain.address) == image.digest
        assert pull(tmp_path / "out", plain.address).image_id == image.image_id
        push(image, plain.address)  # blobs that exist already are not a fault


def test_a_password_is_sent_over_tls(image, tmp_path, private, monkeypatch):
    monkeypatch.setenv("TATOR_REGISTRY_USERNAME", "user")
    monkeypatch.setenv("TATOR_REGISTRY_PASSWORD", "secret")
    assert push(image, private.address, ca_file=private.certificate) == image.digest
    pull(tmp_path / "out", private.address, ca_file=private.certificate)


def test_a_password_is_never_sent_without_tls(image, monkeypatch):
    monkeypatch.setenv("TATOR_REGISTRY_USERNAME", "user")
    monkeypatch.setenv("TATOR_REGISTRY_PASSWORD", "secret")
    with registry_or_skip(basic=True) as plain, pytest.raises(ServerError, match="a password over plain HTTP"):
        push(image, plain.address)


def test_no_password_and_a_wrong_one_have_different_messages(image, private, monkeypatch):
    with pytest.raises(ServerError, match=r"refuses \(401\): no credentials were found; log in with"):
        push(image, private.address, ca_file=private.certificate)
    monkeypatch.setenv("TATOR_REGISTRY_USERNAME", "user")
    monkeypatch.setenv("TATOR_REGISTRY_PASSWORD", "wr0ng")
    with pytest.raises(ServerError, match=r"refuses \(401\): the credentials found are not accepted") as caught:
        push(image, private.address, ca_file=private.certificate)
    assert "wr0ng" not in str(caught.value)


def test_an_untrusted_certificate_is_reported(tmp_path, private, monkeypatch):
    with pytest.raises(ServerError, match=r"certificate is not trusted .*network\.ca_file"):
        pull(tmp_path / "out", private.address)
    with pytest.raises(SettingsError, match=r"network\.ca_file: .*absent is not a file"):
        pull(tmp_path / "out", private.address, ca_file=tmp_path / "absent")
    place = tmp_path / "certs.d" / private.address
    place.mkdir(parents=True)
    (place / "ca.crt").write_bytes(private.certificate.read_bytes())
    monkeypatch.setattr(login, "CERTIFICATES", tmp_path / "certs.d")
    with pytest.raises(ServerError, match="no credentials were found"):
        pull(tmp_path / "out", private.address)
    monkeypatch.undo()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(private.certificate))
    with pytest.raises(ServerError, match=r"\(401\)"):
        pull(tmp_path / "out", private.address)


class TestPlaces:
    """Each place of credentials, tested by a pull that needs them."""

    @pytest.fixture
    def published(self, image, private, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setenv("TATOR_REGISTRY_USERNAME", "user")
            patch.setenv("TATOR_REGISTRY_PASSWORD", "secret")
            push(image, private.address, ca_file=private.certificate)
        return private

    @pytest.fixture
    def pulls(self, published, tmp_path):
        return lambda: pull(tmp_path / "out", published.address, ca_file=published.certificate)

    def auths(self, private, auth=AUTH):
        return {"auths": {private.address: {"auth": auth}}}

    def test_home(self, published, pulls, tmp_path):
        write(tmp_path / "home/.docker/config.json", self.auths(published))
        pulls()

    def test_a_folder_of_docker(self, published, pulls, tmp_path, monkeypatch):
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "folder"))
        write(tmp_path / "folder/config.json", {"auths": {f"https://{published.address}/v1/": {"auth": AUTH}}})
        write(tmp_path / "home/.docker/config.json", self.auths(published, WRONG))
        pulls()

    @pytest.mark.parametrize("entry", [{"auth": AUTH}, {"username": "user", "password": "secret"}])
    def test_a_pull_secret_as_kubernetes_mounts_it(self, published, pulls, tmp_path, monkeypatch, entry):
        write(tmp_path / "secret/.dockerconfigjson", {"auths": {published.address: entry, "other": {}}})
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "secret"))
        pulls()

    def test_a_file_that_is_named(self, published, pulls, tmp_path, monkeypatch):
        monkeypatch.setenv("REGISTRY_AUTH_FILE", write(tmp_path / "auth.json", self.auths(published)))
        pulls()
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "absent"))
        with pytest.raises(SettingsError, match=r"REGISTRY_AUTH_FILE: .*absent is not a file"):
            pulls()

    @pytest.mark.parametrize("key", ["credsStore", "credHelpers"])
    def test_a_credential_helper(self, published, pulls, tmp_path, monkeypatch, key):
        helper = tmp_path / "bin/docker-credential-testing"
        helper.parent.mkdir()
        helper.write_text('#!/bin/sh\ncat >/dev/null\necho \'{"Username": "user", "Secret": "secret"}\'\n')
        helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{helper.parent}:/usr/bin:/bin")
        content = {key: "testing" if key == "credsStore" else {published.address: "testing"}}
        write(tmp_path / "home/.docker/config.json", content)
        pulls()

    @pytest.mark.parametrize(
        "text", ["{", "[]", '{"auths": {"HOST": 1}}', '{"auths": {"HOST": {"identitytoken": "x"}}}']
    )
    def test_a_file_that_cannot_be_used_is_named(self, published, pulls, tmp_path, text):
        path = tmp_path / "home/.docker/config.json"
        path.parent.mkdir(parents=True)
        path.write_text(text.replace("HOST", published.address))
        with pytest.raises(SettingsError, match=r"\.docker/config\.json: "):
            pulls()

    def test_another_registrys_password_is_not_sent(self, published, pulls, tmp_path):
        write(tmp_path / "home/.docker/config.json", {"auths": {"registry.example.org": {"auth": AUTH}}})
        with pytest.raises(ServerError, match="no credentials were found"):
            pulls()


def test_bearer_tokens(image, tmp_path, monkeypatch):
    certificate, key = self_signed(tmp_path)
    with token_server((certificate, key)) as realm:
        settings = {"realm": realm, "service": "reg", "issuer": "test", "rootcertbundle": str(certificate)}
        with registry_or_skip(tls=(certificate, key), token=settings) as one:
            with pytest.raises(ServerError, match="no credentials were found"):
                push(image, one.address, ca_file=certificate)
            monkeypatch.setenv("TATOR_REGISTRY_USERNAME", "user")
            monkeypatch.setenv("TATOR_REGISTRY_PASSWORD", "secret")
            assert push(image, one.address, ca_file=certificate) == image.digest
            pull(tmp_path / "out", one.address, ca_file=certificate)
            monkeypatch.setenv("TATOR_REGISTRY_PASSWORD", "wr0ng")
            with pytest.raises(ServerError, match=r"refuses \(401\): the credentials found"):
                pull(tmp_path / "out", one.address, ca_file=certificate)


@pytest.mark.parametrize(
    ("name", "host", "api", "path"),
    [
        ("registry.example.org/a/b:1", "registry.example.org", "registry.example.org", "a/b"),
        ("localhost/a", "localhost", "localhost", "a"),
        ("node:5000/a", "node:5000", "node:5000", "a"),
        ("[::1]:5000/a", "[::1]:5000", "[::1]:5000", "a"),
        ("someone/net:2", INDEX_NAME, f"registry-1.{INDEX_NAME}", "someone/net"),
    ],
)
def test_names_are_parsed_as_by_docker(name, host, api, path):
    reference = Reference.parse(name)
    assert (reference.registry, reference.api_host, reference.path) == (host, api, path)


@pytest.fixture
def helper(tmp_path, monkeypatch):
    """Install a credential helper; return a function that sets its program."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    write(tmp_path / "home/.docker/config.json", {"credHelpers": {"registry.example.org": "test"}})

    def install(program):
        path = folder / "docker-credential-test"
        path.write_text(f"#!/bin/sh\n{program}\n")
        path.chmod(path.stat().st_mode | stat.S_IEXEC)

    return install


def test_a_helper_gets_none_of_the_runs_secrets(helper, monkeypatch, tmp_path):
    monkeypatch.setenv("TATOR_AUTH_TOKEN", "t" * 40)
    helper(f'env > {tmp_path}/seen; echo \'{{"Username": "user", "Secret": "secret"}}\'')
    assert login.credentials("registry.example.org") == ("user", "secret")
    assert "t" * 40 not in (tmp_path / "seen").read_text()


def test_the_output_of_a_helper_is_cleaned_and_cut(helper, monkeypatch, caplog, capfd):
    monkeypatch.setenv("TATOR_AUTH_TOKEN", "t" * 40)
    helper(f"printf '\\033[2J Token {'t' * 40} ' >&2; head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1")
    with (
        caplog.at_level("INFO"),
        pytest.raises(SettingsError, match=r"no usable credentials for registry\.example"),
    ):
        login.credentials("registry.example.org")
    assert capfd.readouterr() == ("", "")
    assert "\x1b" not in caplog.text
    assert "t" * 40 not in caplog.text
    assert len(caplog.text) < 3000


@pytest.mark.parametrize("answer", ["no JSON", "[]", "{}", "null"])
def test_a_helper_with_unexpected_output(helper, answer):
    helper(f"echo '{answer}'")
    with pytest.raises(SettingsError, match="has no usable credentials"):
        login.credentials("registry.example.org")


def test_a_password_file_is_not_read(monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with (
        host(lambda handler: reply(handler, 200, b"{}")) as (address, requests),
        Registry(Reference.parse(f"{address.removeprefix('http://')}/some/net:1")) as store,
    ):
        store.manifest("1")
    assert requests
    assert not any("authorization" in headers for headers in requests)


def test_a_token_server_whose_answer_has_no_end(tmp_path):
    """The package for registries reads its answer completely."""

    def endless(handler):
        if "/token" in handler.path:
            handler.send_response(200)
            handler.end_headers()
            for _ in range(1024):
                handler.wfile.write(bytes(1 << 16))
        else:
            reply(handler, 401, b"{}", WWW_Authenticate=f'Bearer realm="https://{handler.headers["Host"]}/token"')

    authority, context = certified(tmp_path)
    with (
        host(endless, tls=context) as (address, _),
        Registry(Reference.parse(f"{address.removeprefix('https://')}/some/net:1"), ca_file=authority) as store,
        pytest.raises(ServerError, match=r"sent more than \d+ bytes"),
    ):
        store.manifest("1")


def test_a_name_with_a_digest_is_shown_without_the_default_tag():
    digest = f"sha256:{'a' * 64}"
    assert str(Reference.parse(f"registry.example/net@{digest}", None)) == f"registry.example/net@{digest}"
    assert str(Reference.parse("registry.example/net", digest)) == f"registry.example/net@{digest}"
    assert str(Reference.parse("registry.example/net:2", None)) == "registry.example/net:2"
