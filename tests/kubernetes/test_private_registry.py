"""A data image in a registry that asks for a password, fetched in pods with the Secret of the administrator's page."""

import base64
import copy
import dataclasses
import json
import shlex

import pytest

from scripts.lib.data_images.build import build
from scripts.lib.data_images.reference import Reference
from scripts.lib.data_images.registry import Registry
from tests.conftest import SYNTHETIC
from tests.docker_engine import registry_or_skip
from tests.documents import command
from tests.kube_server import argo
from tests.kubernetes.lab import IMAGE, documents

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def private():
    with registry_or_skip(tls=True, basic=True) as one:
        yield one


@pytest.fixture
def site(lab, private, tmp_path, monkeypatch):
    """Return a cluster whose image trusts the registry with the sample network."""
    monkeypatch.setenv("TATOR_REGISTRY_USERNAME", "user")
    monkeypatch.setenv("TATOR_REGISTRY_PASSWORD", "secret")
    (tmp_path / "made").mkdir()
    made = build({name: SYNTHETIC / name for name in ("graph.pb", "train.ini")}, {}, tmp_path / "made")
    config = made.layer.with_name("config.json")
    config.write_bytes(made.config)
    with Registry(Reference.parse(f"{private.address}/net:1"), ca_file=private.certificate) as store:
        store.push_blob(made.layer, made.layer_digest)
        store.push_blob(config, made.image_id)
        store.push_manifest("1", made.manifest.decode())
    one = lab()
    one.data_image = f"{private.address}/net:1"
    image = one.cluster.images[IMAGE]
    trusting = {**image.folders, "/site": private.certificate.parent}
    one.cluster.images[IMAGE] = dataclasses.replace(image, folders=trusting)
    return one


def launch(site, name, **parameters):
    """Start a manifest up to the network; return the run once it has ended."""
    (manifest,) = documents(f"deploy/argo/{name}.yaml")
    manifest = copy.deepcopy(manifest)
    manifest["spec"]["templates"][0]["container"]["args"] += ["--until", "get_network"]
    values = site.parameters() | parameters
    settings = json.loads(values["pipeline_args"])
    settings["network"] = {"data_image": settings.pop("data_image"), "ca_file": "/site/cert.pem"}
    run = argo.submit(site.cluster, manifest, {**values, "pipeline_args": json.dumps(settings)})
    run.join()
    return run


def make_secret(site, name):
    arguments = shlex.split(command("docs/kubernetes.md", "kubectl create secret generic registry-login"))[5:]
    assert arguments[0] == "--type=kubernetes.io/dockerconfigjson"
    key = arguments[1].removeprefix("--from-file=").partition("=")[0]
    login = {"auths": {site.data_image.partition("/")[0]: {"auth": base64.b64encode(b"user:secret").decode()}}}
    data = {key: base64.b64encode(json.dumps(login).encode()).decode()}
    kind = arguments[0].partition("=")[2]
    body = {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": name}, "data": data}
    site.cluster.create("secrets", site.cluster.namespace, body)


def test_a_fan_out_gives_the_login_to_the_job_of_get_network(site):
    make_secret(site, "site-login")
    run = launch(site, "fan-out", registry_secret="site-login")
    assert run.phase == "Succeeded", run.log()
    (job,) = site.cluster.created["jobs"]
    assert "get_network" in str(job)
    assert "site-login" in str(job["spec"]["template"]["spec"]["volumes"])
    assert "secret" not in run.log().replace("Secret", "").replace("secrets", "").casefold().split()
    conclude = site.cluster.created["pods"][-1]["spec"]["containers"][0]
    assert "registry-login" not in str(conclude["volumeMounts"])


def test_a_single_pod_logs_in(site):
    make_secret(site, "registry-login")
    run = launch(site, "single-pod")
    assert run.phase == "Succeeded", run.log()


def test_a_missing_secret_is_reported(site):
    run = launch(site, "single-pod")
    assert run.phase == "Failed"
    assert "log in with" in run.log()
