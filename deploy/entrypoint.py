"""Run the workflow in a pod of the Argo manifests, or print its result and clean up after its end.

    entrypoint.py run PROFILE [SNAKEMAKE'S OPTIONS]
    entrypoint.py conclude STATUS

The manifest turns Tator's parameters into the variables that the settings take (config/README.md), and names the
run, the pod, the image and the claim. `run` continues the run of a lost driver: it deletes its jobs, and waits until
they have ended, so that none runs twice at the same time. While the API server does not answer, both commands wait for
it, up to PATIENCE_SECONDS.

SIGTERM, which a drained or cancelled driver gets, becomes the SIGINT at which Snakemake removes its jobs and its
Secret. What has not ended after STOP_SECONDS is killed; `run` then removes what is left of the run itself. Nothing is
uploaded or marked later than STOP_SECONDS, and the few seconds in which a job's pod ends, after the signal.

The exit code is Snakemake's; 2 says that a variable is missing, or that the store cannot be used or has files of other
settings in the run's folder; 143 that a signal ended the run before it was complete.
`conclude` prints the summary and removes what is left of a run, for a driver that was killed at once.
"""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])  # the image sets PYTHONSAFEPATH, which leaves out this folder

from stopping import Stopped, Stopping  # first: its handlers have to be installed before the other modules load

STOPPING = Stopping()

import argparse  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import s3_store  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("TATOR_API_SERVICE", "TATOR_AUTH_TOKEN", "TATOR_MEDIA_IDS", "TATOR_PROJECT_ID")
# They are sent in HTTP headers, whose errors repeat them. Files of Secrets often end with a line break.
SECRETS = ("TATOR_AUTH_TOKEN", *s3_store.KEYS)
# As in scripts/lib/network_access/proxies.py: errors of libraries would repeat a part of the password.
UNQUOTED_LOGIN = re.compile(r"(?:[^/?#]*//)?+[^/?#]*[/?#].*@", re.DOTALL)
RUN_LABEL = "tator-detection/run"
STOPPED = 143
# How long requests are retried while the API server does not answer, and how long pods may take to end; as long as the
# profiles' pending-minutes. At a run's end, pods may take COLLECTED_SECONDS.
PATIENCE_SECONDS, COLLECTED_SECONDS = 7200.0, 120.0
# How long removing the rest of a stopped run may take; with STOP_SECONDS less than the pod's grace period of 60 s.
REMOVAL_SECONDS = 25.0
# Seconds between two messages about what is still running.
LOG_SECONDS = 60.0
WAIT_SECONDS = 0.5


def run(profile: str, options: Sequence[str]) -> int:
    """Run the workflow in the current folder, and return its exit code."""
    if problem := _wrong_variables() or s3_store.problem_of_options(options, os.environ):
        _log(problem)
        return 2
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--workflow-profile", str(ROOT / "profiles" / profile), *options]
    fan_out = "RUN_NAME" in os.environ
    if fan_out:
        command += ["--kubernetes-steady-namespace", os.environ["POD_NAMESPACE"]]
        command += ["--container-image", os.environ["IMAGE"]]
        if "CLAIM" in os.environ:
            command += ["--kubernetes-steady-persistent-volumes", os.environ["CLAIM"]]
    try:
        if fan_out:
            _take_over()
        # Not earlier, while jobs of an earlier driver may be uploading.
        if problem := s3_store.remove_unfinished(options, os.environ, _log):
            _log(problem)
            return 2
        if any(Path(".snakemake/locks").glob("*")):
            _log("the previous driver was lost; continuing its run")
            if code := _snakemake([*command, "--unlock"]):
                return _ended(code)
        return _ended(_snakemake(command))
    except Stopped:
        return _ended(STOPPED)


def _wrong_variables() -> str:
    """Remove the blanks around secrets; return which variables are missing or malformed, without their values."""
    from_secrets = [name for name in os.environ if name in SECRETS or name.upper().endswith("_PROXY")]
    os.environ.update({name: os.environ[name].strip() for name in from_secrets})
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        return f"{', '.join(missing)} not set; expected what Tator gives an algorithm, see docs/kubernetes.md"
    malformed = [name for name in SECRETS if not re.fullmatch("[!-~]+", os.environ.get(name, "unset"))]
    if malformed:
        return f"{', '.join(malformed)} empty, or with blanks or other characters that no key has: correct the Secret"
    proxies = [name for name in from_secrets if name not in SECRETS]
    unquoted = [name for name in proxies if UNQUOTED_LOGIN.match(os.environ[name])]
    if unquoted:
        return f"{', '.join(unquoted)}: a login with / ? or #; expected %2F, %3F and %23 instead: correct the Secret"
    return ""


def _take_over() -> None:
    """Remove what an earlier driver left; raise Stopped if this driver is itself being deleted."""
    core, batch = _connect()
    name, namespace = os.environ["RUN_NAME"], os.environ["POD_NAMESPACE"]
    request = _retrying(lambda: PATIENCE_SECONDS, STOPPING.sleep)
    # A signal sent before the handler was installed is lost, but the API server knows that this pod is being deleted.
    own = request(
        partial(core.list_namespaced_pod, namespace, field_selector=f"metadata.name={os.environ['POD_NAME']}")
    ).items
    if any(pod.metadata.deletion_timestamp for pod in own):
        STOPPING.request_stop()
    clean_up(core, batch, name, namespace, request=request, seconds=PATIENCE_SECONDS, sleep=STOPPING.sleep)


def _snakemake(command: Sequence[str]) -> int:
    """Run Snakemake, and return its exit code as a shell gives it; raise Stopped if the run was already stopped."""
    if STOPPING.requested:
        raise Stopped
    with subprocess.Popen(command, start_new_session=True) as workflow:
        STOPPING.guard(workflow.pid)
        # In short steps: Python handles a signal that arrives just before a blocking call only after the call.
        while (code := workflow.poll()) is None:
            time.sleep(WAIT_SECONDS)
    STOPPING.kill_rest()
    return code if code >= 0 else 128 - code


def _ended(code: int) -> int:
    """Return the exit code of a run; if it was stopped before it was complete, remove its jobs and its Secret."""
    if not STOPPING.requested or code == 0:
        return code
    _log("the run was stopped")
    if "RUN_NAME" in os.environ:
        deadline = time.monotonic() + REMOVAL_SECONDS
        request = _retrying(lambda: deadline - time.monotonic(), time.sleep)
        try:
            core, batch = _connect()
            name, namespace = os.environ["RUN_NAME"], os.environ["POD_NAMESPACE"]
            clean_up(core, batch, name, namespace, request=request, seconds=REMOVAL_SECONDS, sleep=time.sleep)
        except SystemExit as error:
            _log(f"{error}; the remaining jobs are deleted together with this pod")
    return STOPPED


def conclude(status: str) -> int:
    """Print the result of a run, and remove its jobs and its Secret."""
    table = Path("results/summary.txt")
    _log(f"the workflow ended: {status}")
    _log(table.read_text(encoding="utf-8") if table.exists() else "this pod has no summary; see the log of `workflow`")
    if "RUN_NAME" in os.environ:
        core, batch = _connect()
        name, namespace = os.environ["RUN_NAME"], os.environ["POD_NAMESPACE"]
        request = _retrying(lambda: REMOVAL_SECONDS if STOPPING.requested else PATIENCE_SECONDS, time.sleep)
        clean_up(core, batch, name, namespace, request=request, seconds=COLLECTED_SECONDS, sleep=time.sleep)
    return 0


def clean_up(
    core: Any,
    batch: Any,
    name: str,
    namespace: str,
    *,
    request: Callable[[Callable[[], Any]], Any],
    seconds: float,
    sleep: Callable[[float], None],
) -> None:
    """Delete a run's jobs and its Secret, and wait until the jobs and their running pods are gone.

    Args:
        core: the API of pods and Secrets.
        batch: the API of Jobs.
        name: the run's name.
        namespace: where it runs.
        request: makes a request, retried after temporary errors.
        seconds: how long jobs and pods may take to end.
        sleep: waits for some seconds.

    Raises:
        SystemExit: the time is over, or the API server refuses.
    """
    label = f"{RUN_LABEL}={name}"
    begun = logged = time.monotonic()
    secret_gone = False
    while True:
        jobs = request(partial(batch.list_namespaced_job, namespace, label_selector=label)).items
        for job in (job for job in jobs if job.metadata.deletion_timestamp is None):
            _log(f"deleting job {job.metadata.name} of an earlier driver of this run")
            delete = partial(batch.delete_namespaced_job, propagation_policy="Background")
            request(partial(_unless_gone, delete, job.metadata.name, namespace))
        if not secret_gone:
            request(partial(_unless_gone, core.delete_namespaced_secret, name, namespace))
            secret_gone = True
        pods = request(partial(core.list_namespaced_pod, namespace, label_selector=label)).items
        pods = [pod for pod in pods if pod.status.phase not in ("Succeeded", "Failed")]
        for pod in (pod for pod in pods if pod.metadata.deletion_timestamp is None):
            request(partial(_unless_gone, core.delete_namespaced_pod, pod.metadata.name, namespace))
        if not jobs and not pods:
            return
        left = [f"job {job.metadata.name}" for job in jobs]
        left += [f"pod {pod.metadata.name} on node {pod.spec.node_name}" for pod in pods]
        waiting = f"still running: {', '.join(left[:5])}{' and others' if len(left) > 5 else ''}"
        remedy = "they should have ended; if a node is dead, taint it: node.kubernetes.io/out-of-service=x:NoExecute"
        now = time.monotonic()
        if now - begun >= seconds:
            raise SystemExit(f"{waiting}; {remedy}, or delete them")
        if now - logged >= LOG_SECONDS:
            logged = now
            _log(f"{waiting}; {remedy}")
        sleep(1)


def _connect() -> tuple[Any, Any]:
    import kubernetes
    from kubernetes_requests import connect

    kubernetes.config.load_incluster_config()
    return connect()


def _retrying(seconds: Callable[[], float], sleep: Callable[[float], None]) -> Callable[[Callable[[], Any]], Any]:
    """Return a function that makes a request with retries; it raises SystemExit, with the reason, when it gives up."""
    from kubernetes_requests import Refused, RetryTimeout, retry_request

    def retried(request: Callable[[], Any]) -> Any:
        try:
            return retry_request(request, seconds=seconds, log=_log, sleep=sleep)
        except (RetryTimeout, Refused) as error:
            raise SystemExit(str(error)) from error

    return retried


def _unless_gone(delete: Callable[..., Any], name: str, namespace: str) -> None:
    import kubernetes

    try:
        delete(name, namespace)
    except kubernetes.client.ApiException as error:
        if error.status != 404:
            raise


def _log(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str]) -> int:
    """Run the requested command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="run the workflow")
    running.add_argument("profile", help="a folder of profiles/")
    ending = commands.add_parser("conclude", help="print the result, and clean up")
    ending.add_argument("status", help="the workflow's status, as Argo names it")
    given, options = parser.parse_known_args(arguments)
    return run(given.profile, options) if given.command == "run" else conclude(given.status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
