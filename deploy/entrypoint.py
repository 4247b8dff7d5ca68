"""What a pod of our Argo manifests starts: the workflow, or what follows its end.

    entrypoint.py run PROFILE [SNAKEMAKE'S OPTIONS]
    entrypoint.py conclude STATUS

The manifest turns Tator's parameters into the variables that the settings take (config/README.md), and names the
run, the pod, the image and the claim. `run` goes on where a driver that was lost stood: its jobs are removed, and
waited for, before the next ones start, so that none runs twice side by side. SIGTERM, which a cancelled run gets,
becomes the SIGINT at which Snakemake removes its jobs and its Secret. `conclude` prints the summary and removes what is
left of a run, for a driver that was killed at once. The exit code is Snakemake's; 2 says that a variable is missing.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("TATOR_API_SERVICE", "TATOR_AUTH_TOKEN", "TATOR_MEDIA_IDS", "TATOR_PROJECT_ID")
RUN_LABEL = "tator-detection/run"
COLLECTED_SECONDS = 120


def run(profile: str, options: Sequence[str]) -> int:
    """Run the workflow in the current folder, and return its exit code."""
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        _say(f"{', '.join(missing)} not set; expected what Tator gives an algorithm, see docs/kubernetes.md")
        return 2
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--workflow-profile", str(ROOT / "profiles" / profile), *options]
    if "RUN_NAME" in os.environ:
        clean_up(os.environ["RUN_NAME"], os.environ["POD_NAMESPACE"])
        command += ["--kubernetes-steady-namespace", os.environ["POD_NAMESPACE"]]
        command += ["--container-image", os.environ["IMAGE"]]
        if "CLAIM" in os.environ:
            command += ["--kubernetes-steady-persistent-volumes", os.environ["CLAIM"]]
    if any(Path(".snakemake/locks").glob("*")):
        _say("the run before this one was lost; going on where it was")
        subprocess.run([*command, "--unlock"], check=True)
    with subprocess.Popen(command, start_new_session=True) as workflow:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: workflow.send_signal(signal.SIGINT))
        return workflow.wait()


def conclude(status: str) -> int:
    """Print what became of a run, and remove what is left of it."""
    table = Path("results/summary.txt")
    _say(f"the workflow ended: {status}")
    _say(table.read_text(encoding="utf-8") if table.exists() else "there is no summary; see the log of `workflow`")
    if "RUN_NAME" in os.environ:
        clean_up(os.environ["RUN_NAME"], os.environ["POD_NAMESPACE"])
    return 0


def clean_up(name: str, namespace: str) -> None:
    """Remove a run's jobs and its Secret, and wait until its pods are gone."""
    import kubernetes

    kubernetes.config.load_incluster_config()
    core, batch = kubernetes.client.CoreV1Api(), kubernetes.client.BatchV1Api()
    label = f"{RUN_LABEL}={name}"
    jobs = batch.list_namespaced_job(namespace, label_selector=label).items
    for job in (job for job in jobs if job.metadata.deletion_timestamp is None):
        _say(f"removing job {job.metadata.name}, which a driver before this one left")
        _unless_gone(batch.delete_namespaced_job, job.metadata.name, namespace, propagation_policy="Background")
    _unless_gone(core.delete_namespaced_secret, name, namespace)
    deadline = time.monotonic() + COLLECTED_SECONDS
    while left := core.list_namespaced_pod(namespace, label_selector=label).items:
        if time.monotonic() > deadline:
            names = ", ".join(pod.metadata.name for pod in left)
            raise SystemExit(f"pods of the lost driver are still there: {names}; expected them gone: delete them")
        time.sleep(1)


def _unless_gone(delete: Any, *arguments: str, **options: str) -> None:
    import kubernetes

    try:
        delete(*arguments, **options)
    except kubernetes.client.ApiException as error:
        if error.status != 404:
            raise


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="run the workflow")
    running.add_argument("profile", help="a folder of profiles/")
    ending = commands.add_parser("conclude", help="say what became of it, and clean up")
    ending.add_argument("status", help="Argo's word for it")
    given, options = parser.parse_known_args(arguments)
    return run(given.profile, options) if given.command == "run" else conclude(given.status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
