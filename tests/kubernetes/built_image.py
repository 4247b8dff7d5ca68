"""deploy/Dockerfile, built as the administrator's page says, from a base that debootstrap makes."""

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path

from tests import documents
from tests.kube_server.sandbox import Image
from tests.kubernetes.lab import IMAGE
from tests.needs import lacking
from tests.workflow import ROOT

BASE = "localhost/site-base:1"
DOCUMENTED_BASE = "BASE=debian:12.11-slim@sha256:DIGEST"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
DEBOOTSTRAP = ["debootstrap", "--variant=minbase", "--include=ca-certificates"]


def build(folder: Path) -> Image:
    """Build the image on a minimal Debian with this machine's certificates, and return it with its file system.

    The files are written to memory, since writing and removing so many takes long on a disk.
    """
    for program in ("buildah", "debootstrap"):
        if not shutil.which(program):
            lacking(f"{program} is not installed")
    if os.geteuid() != 0:
        lacking("debootstrap needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8g", "tmpfs", folder], check=True)
    base = _buildah(folder, "from", "scratch")
    root = _buildah(folder, "mount", base)
    release = next(line for line in Path("/etc/os-release").read_text().splitlines() if "VERSION_CODENAME" in line)
    subprocess.run([*DEBOOTSTRAP, release.partition("=")[2], root], check=True, stdout=subprocess.DEVNULL)
    shutil.copy(f"/{CERTIFICATES}", Path(root, CERTIFICATES))
    _buildah(folder, "umount", base)
    _buildah(folder, "commit", "--rm", base, BASE)
    digest = _buildah(folder, "images", "--format", "{{.Digest}}", BASE)
    # For the CPU: TensorRT's packages are in an index of NVIDIA.
    named = {"ENGINE=tensorrt": "ENGINE=cpu", DOCUMENTED_BASE: f"BASE={BASE.partition(':')[0]}@{digest}"}
    arguments = shlex.split(documents.command("docs/kubernetes.md", "docker build").removesuffix("&&"))[2:]
    assert named.keys() <= set(arguments)
    command = ["build", "--layers=false", "--isolation", "chroot", *(named.get(one, one) for one in arguments)]
    _buildah(folder, *command)
    container = _buildah(folder, "from", IMAGE)
    config = json.loads(_buildah(folder, "inspect", IMAGE))["OCIv1"]["config"]
    return Image(
        env=dict(entry.split("=", 1) for entry in config["Env"]),
        root=Path(_buildah(folder, "mount", container)),
        user=int(config["User"].partition(":")[0]),
        command=tuple(config["Entrypoint"]),
        folder=config["WorkingDir"],
    )


def remove(folder: Path) -> None:
    """Remove the built image."""
    if folder.is_mount():
        subprocess.run(["umount", "--recursive", folder], check=True)


def _buildah(folder: Path, command: str, *arguments: str) -> str:
    """Run buildah, which builds without a daemon, with a separate store."""
    store = ["--root", f"{folder}/root", "--runroot", f"{folder}/run", "--storage-driver", "overlay"]
    done = subprocess.run(
        ["buildah", *store, command, *arguments],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout.strip()
