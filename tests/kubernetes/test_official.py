"""The official executor, unmodified, carries our rules as they are: sources, files and token travel its own way."""

import importlib.metadata
import shutil
import subprocess
import zipfile

OPTIONS = (
    "--executor kubernetes --kubernetes-persistent-volumes work:/work --kubernetes-service-account-name "
    "tator-detection-job --container-image registry.example.org/tator-detection:1.0.0 --jobs 8 "
    "--default-storage-provider fs --default-storage-prefix /work/store --seconds-between-status-checks 1 "
    "--groups download_media=media detect=media upload_detections=media --group-components media=2 "
    "--default-resources mem_mb=1000 disk_mb=1000 runtime=10 "
    # All that is compared; the rules after these are no other kind of job.
    "--until merge_detections mark_processed "
)
# Where its pods find the storage plugins, as in an image that bakes them in.
PIP = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_FIND_LINKS": "wheels"}


def wheel(name: str, folder) -> None:
    """Write an installed package as the wheel that the executor's pods install when they start."""
    package = importlib.metadata.distribution(name)
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name.replace('-', '_')}-{package.version}-py3-none-any.whl", "w") as archive:
        for path in package.files or []:
            if (
                ".." not in path.parts
                and "__pycache__" not in path.parts
                and path.name not in ("INSTALLER", "REQUESTED")
            ):
                archive.write(str(package.locate_file(path)), str(path))


def test_our_rules_run_with_it_unmodified(lab, checkout, local_run):
    one = lab(restricted=False)
    run = one.work / "run"
    shutil.copytree(checkout, run)
    for name in ("snakemake-storage-plugin-fs", "snakemake-storage-plugin-s3"):
        wheel(name, run / "wheels")
    commit = "git init -q && git add -A && git -c user.name=a -c user.email=a@b commit -qm all"
    subprocess.run(commit, shell=True, cwd=run, check=True)
    driver = one.pod(f"cd /work/run && exec snakemake {OPTIONS}", one.environment() | PIP)
    assert one.ended(driver) == "Succeeded", one.cluster.pod_log(driver)
    assert one.outcome(one.work / "store") == local_run
