"""deploy/Dockerfile, built from a base that debootstrap makes, and the single-pod manifest in what it gives."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kube_server import argo
from tests.kube_server.sandbox import Image
from tests.kubernetes.lab import IMAGE, documents
from tests.needs import lacking
from tests.workflow import ROOT

(MANIFEST,) = documents("deploy/argo/single-pod.yaml")
BASE = "localhost/site-base:1"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
DEBOOTSTRAP = ["debootstrap", "--variant=minbase", "--include=ca-certificates"]


@pytest.fixture(scope="module")
def buildah(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Return a function that runs buildah, which builds without a daemon, with a store of its own."""
    for program in ("buildah", "debootstrap"):
        if not shutil.which(program):
            lacking(f"{program} is not installed")
    if os.geteuid() != 0:
        lacking("debootstrap needs root")
    folder = tmp_path_factory.mktemp("buildah")
    store = ["--root", f"{folder}/root", "--runroot", f"{folder}/run", "--storage-driver", "overlay"]

    def run(command: str, *arguments: str) -> str:
        done = subprocess.run(["buildah", *store, command, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout.strip()

    yield run
    run("rm", "--all")
    run("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def built(buildah: Callable[..., str]) -> Image:
    """Build the image on a minimal Debian that trusts whom this machine trusts, and lay its file system out."""
    base = buildah("from", "scratch")
    root = buildah("mount", base)
    release = next(line for line in Path("/etc/os-release").read_text().splitlines() if "VERSION_CODENAME" in line)
    subprocess.run([*DEBOOTSTRAP, release.partition("=")[2], root], check=True, stdout=subprocess.DEVNULL)
    shutil.copy(f"/{CERTIFICATES}", Path(root, CERTIFICATES))
    buildah("umount", base)
    buildah("commit", "--rm", base, BASE)
    options = ["--isolation", "chroot", "--build-arg", f"BASE={BASE}", "--file", str(ROOT / "deploy" / "Dockerfile")]
    buildah("build", "--layers=false", *options, "--tag", IMAGE, str(ROOT))
    container = buildah("from", IMAGE)
    config = json.loads(buildah("inspect", IMAGE))["OCIv1"]["config"]
    env = dict(entry.split("=", 1) for entry in config["Env"])
    user, command = int(config["User"].partition(":")[0]), tuple(config["Entrypoint"])
    root = Path(buildah("mount", container))
    return Image(env=env, root=root, user=user, command=command, folder=config["WorkingDir"])


def test_a_run_in_the_image_is_one_on_a_laptop(lab, built, local_run):
    one = lab()
    one.cluster.images[IMAGE] = built
    run = argo.submit(one.cluster, MANIFEST, one.parameters() | {"storage_class": "standard"})
    assert run.join() == "Succeeded", run.log()
    assert one.outcome(one.cluster.folder / "claims" / f"{run.name}-work") == local_run
    assert one.cluster.created["jobs"] == []
    assert "clip_910002.mp4  done" in one.cluster.pod_log(run.pods[-1])


def test_the_image_has_all_that_a_fan_out_needs_and_no_more(built):
    assert built.user == 1000
    inside = {str(path.relative_to(built.root / "workflow")) for path in (built.root / "workflow").iterdir()}
    pins = {"requirements-kubernetes.lock", "tests"}  # of tests, only the GPU's packages
    assert inside == {"Snakefile", "config", "deploy", "envs", "profiles", "reports", "rules", "scripts", *pins}
    plugins = {path.name for path in (built.root / "opt/venv/lib").glob("python3*/site-packages/snakemake_*_plugin_*")}
    assert {"snakemake_executor_plugin_kubernetes", "snakemake_storage_plugin_s3"} <= plugins
    assert not [name for name in ("gcc", "git", "pytest") if (built.root / "usr/bin" / name).exists()]
