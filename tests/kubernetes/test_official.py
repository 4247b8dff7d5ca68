"""The official executor, unmodified, with the rules: it brings sources, files and token in its own way."""

import importlib.metadata
import shutil
import subprocess
import zipfile
from dataclasses import replace

from tests.kubernetes.lab import IMAGE
from tests.workflow import CLUSTERS

OPTIONS = (
    "--executor kubernetes --kubernetes-persistent-volumes work:/work --kubernetes-service-account-name "
    f"tator-detection-job --container-image {IMAGE} --jobs 8 "
    "--default-storage-provider fs --default-storage-prefix /work/store --seconds-between-status-checks 1 "
    "--groups download_media=media detect=media upload_detections=media --group-components media=2 "
    "--default-resources mem_mb=1000 disk_mb=1000 runtime=10 "
)
# Its pods install the storage plugins when they start, here from wheels in the image instead of the network.
PIP = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_FIND_LINKS": "/wheels"}


def wheel(name: str, folder) -> None:
    """Write an installed package as the wheel that the executor's pods install when they start."""
    (package,) = importlib.metadata.distributions(name=name, path=[str(CLUSTERS)])
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name.replace('-', '_')}-{package.version}-py3-none-any.whl", "w") as archive:
        for path in package.files or []:
            if (
                ".." not in path.parts
                and "__pycache__" not in path.parts
                and path.name not in ("INSTALLER", "REQUESTED")
            ):
                archive.write(str(package.locate_file(path)), str(path))


def test_the_rules_run_with_the_official_executor(lab, image, checkout, local_run, tmp_path):
    one = lab(restricted=False)
    for name in ("snakemake-storage-plugin-fs", "snakemake-storage-plugin-s3"):
        wheel(name, tmp_path / "wheels")
    baked = replace(image, env=image.env | PIP, folders={**image.folders, "/wheels": tmp_path / "wheels"})
    one.cluster.images[IMAGE] = baked
    run = one.work / "run"
    shutil.copytree(checkout, run)
    commit = "git init -q && git add -A && git -c user.name=a -c user.email=a@b commit -qm all"
    subprocess.run(commit, shell=True, cwd=run, check=True)
    driver = one.pod(f"cd /work/run && exec snakemake {OPTIONS}", one.environment())
    assert one.ended(driver) == "Succeeded", one.cluster.pod_log(driver)
    assert one.outcome(one.work / "store") == local_run
    pods = [one.cluster.pod_log(pod["metadata"]["name"]) for pod in one.cluster.created["pods"][1:]]
    assert all("Looking in links: /wheels" in log and "Downloading" not in log for log in pods)
