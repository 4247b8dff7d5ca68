"""The single-pod manifest, in the image of deploy/Dockerfile."""

from collections.abc import Iterator

import pytest

from tests.kube_server import argo
from tests.kube_server.sandbox import Image
from tests.kubernetes.built_image import build, remove
from tests.kubernetes.lab import IMAGE, documents

(MANIFEST,) = documents("deploy/argo/single-pod.yaml")


@pytest.fixture(scope="module")
def built_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Yield the image, with its files in memory."""
    folder = tmp_path_factory.mktemp("image")
    try:
        yield build(folder)
    finally:
        remove(folder)


def test_a_run_in_the_image_equals_a_local_run(lab, built_image, local_run):
    one = lab()
    one.cluster.images[IMAGE] = built_image
    run = argo.submit(one.cluster, MANIFEST, one.parameters() | {"storage_class": "standard"})
    assert run.join() == "Succeeded", run.log()
    assert one.outcome(one.cluster.folder / "claims" / f"{run.name}-work") == local_run
    assert one.cluster.created["jobs"] == []
    assert "clip_910002.mp4  done" in one.cluster.pod_log(run.pods[-1])


def test_the_image_has_exactly_the_packages_of_a_fan_out(built_image):
    assert built_image.user == 1000
    root = built_image.root
    inside = {path.name for path in (root / "workflow").iterdir()}
    pins = {"requirements-kubernetes.lock", "tests"}  # of tests, only the GPU's packages
    assert inside == {"Snakefile", "config", "deploy", "envs", "profiles", "reports", "rules", "scripts", *pins}
    plugins = {path.name for path in (root / "opt/venv/lib").glob("python3*/site-packages/snakemake_*_plugin_*")}
    assert {"snakemake_executor_plugin_kubernetes", "snakemake_storage_plugin_s3"} <= plugins
    assert not [name for name in ("gcc", "git", "pytest") if (root / "usr/bin" / name).exists()]
