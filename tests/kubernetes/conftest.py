"""Fixtures: a cluster with the rights of the manifests, and a Tator site; images have this machine's programs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import SYNTHETIC
from tests.docker_engine import tar
from tests.kube_server.sandbox import Image
from tests.kubernetes.lab import IMAGE, Lab, Outcome, outcome
from tests.kubernetes.toy import toy  # noqa: F401
from tests.made_once import made_once
from tests.needs import lacking
from tests.oci_server import misbehaving_registry
from tests.tator_server.launch import running
from tests.workflow import CLUSTERS, ROOT, snakemake


@pytest.fixture(scope="session", autouse=True)
def _sandbox() -> None:
    """Check that pods can be started."""
    if not shutil.which("bwrap"):
        lacking("bwrap (Debian's bubblewrap) is not installed")
    if not shutil.which("git"):
        lacking("git is not installed")
    if not CLUSTERS.exists():
        lacking(f"{CLUSTERS} is not there: make setup-clusters")
    tried = subprocess.run(
        ["bwrap", "--ro-bind", "/", "/", "--unshare-user", "--unshare-pid", "true"], capture_output=True, check=False
    )
    if tried.returncode:
        lacking(f"bubblewrap cannot start anything here: {tried.stderr.decode().strip()}")


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the files of this repository that are in the image."""
    folder = tmp_path_factory.mktemp("image") / "workflow"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
        if name and not name.startswith(("tests/", "examples/")) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def image(checkout: Path) -> Image:
    """Return the image as deploy/Dockerfile lays it out: the environment, and the repository in /workflow."""
    environment = Path(sys.executable).parents[1]
    base = Path(os.path.realpath(sys.executable)).parents[1]
    env = {
        "PATH": f"{environment}/bin:/usr/bin:/bin",
        "PYTHONPATH": "/workflow/deploy/executor:/plugins",
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/tmp",
    }
    # Packages for SLURM, which are not in the image, would be imported by each pod.
    plugins = {f"/plugins/{path.name}": path for path in CLUSTERS.glob("snakemake_*") if "slurm" not in path.name}
    folders = {str(environment): environment, str(base): base, "/workflow": checkout, **plugins}
    return Image(
        folders=folders, env=env, user=1000, command=("python", "/workflow/deploy/entrypoint.py"), folder="/workflow"
    )


@pytest.fixture(scope="session")
def data_image() -> Iterator[str]:
    """Yield the name of a data image with the sample network, in a registry on loopback."""
    with misbehaving_registry() as (address, contents):
        contents.image(tar({f"network/{name}": (SYNTHETIC / name).read_bytes() for name in ("graph.pb", "train.ini")}))
        yield f"{address}/network:1"


@pytest.fixture(scope="session")
def local_run(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Return the outcome of a run on this machine with the same media and settings."""
    return made_once(tmp_path_factory, "local", _run_on_this_machine)


def _run_on_this_machine(folder: Path) -> Outcome:
    (folder / "media").mkdir()
    for name in ("clip_910001.mp4", "clip_910002.mp4"):
        shutil.copy(SYNTHETIC / name, folder / "media")
    with running(folder / "media", folder / "state") as server:
        settings = {
            "tator": {"host": server.host, "project_id": server.project_id, "media_ids": list(server.media)},
            "network": {"directory": str(SYNTHETIC)},
            "detect": {"img_max_side": 320, "img_min_side": 180},
            "upload": {"localization_type_id": server.localization_type_id},
        }
        until = ["--until", "merge_detections", "mark_processed"]  # all rules whose results are compared
        done = snakemake(folder / "run", *until, settings=settings, environ={"TATOR_AUTH_TOKEN": server.token})
        assert done.returncode == 0, done.stdout
        return outcome(server, folder / "run" / "results" / "detections.csv")


@pytest.fixture
def lab(tator_server, image: Image, data_image: str, tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Return a function that starts a cluster with the settings of `Cluster`."""
    with ExitStack() as stack:

        def start(**settings: object) -> Lab:
            one = Lab(tator_server, tmp_path, {IMAGE: image}, data_image, **settings)
            stack.enter_context(one.cluster)
            return one

        yield start
