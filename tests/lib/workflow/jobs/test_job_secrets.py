"""Each job has only the secrets that it uses: in its environment, in /proc, and in its child processes."""

import ast
import json
import os
import re
import subprocess
import sys

import pytest

from scripts.lib.workflow.jobs import job_secrets
from tests.workflow import ROOT

SECRETS = {
    "TATOR_AUTH_TOKEN", "TATOR_REGISTRY_USERNAME", "TATOR_REGISTRY_PASSWORD", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG",
    "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "SSH_AUTH_SOCK",
}  # fmt: skip
PROXIES = {"HTTPS_PROXY", "http_proxy", "ALL_PROXY"}
RULE = re.compile(
    r'^ *(?:rule|checkpoint)(?: (\w+):|:\n +name:\n +f"(\w+)_\{).*?"\.\./scripts/(\w+)\.py"', re.MULTILINE | re.DOTALL
)
# Each rule's script; the name of a rule of shared jobs ends with a number.
SCRIPT_OF = {
    name or f"{shared}_7": script
    for path in (ROOT / "rules").glob("*.smk")
    for name, shared, script in RULE.findall(path.read_text())
}
SCRIPTS = sorted(set(SCRIPT_OF.values()))
# A job that writes the variables that it and its child see, run as Snakemake runs one.
JOB = """
import json, os, subprocess
from pathlib import Path
from types import SimpleNamespace
from scripts.lib.workflow.jobs import job

def work(*, seen: Path) -> None:
    own = Path("/proc/self/environ").read_text().split("\\0")
    child = subprocess.run(["env", "-0"], capture_output=True, text=True, check=True).stdout.split("\\0")
    places = {{"environ": list(os.environ), "proc": own, "child": child}}
    names = {{place: [line.partition("=")[0] for line in lines] for place, lines in places.items()}}
    seen.write_text(json.dumps(names))

job.run(work, SimpleNamespace(
    input={{}}, output={{"seen": {seen!r}}}, params={{}}, log=[{log!r}], threads=1, resources={{}}, rule={rule!r},
    config={{}}))
"""


def table():
    """Return the table, by the names of the rules in a run."""
    return {f"{rule}_7" if rule.endswith("_many") else rule: used for rule, used in job_secrets.USED.items()}


@pytest.mark.sweep
@pytest.mark.parametrize("rule", sorted(SCRIPT_OF))
def test_a_job_and_its_children_have_only_the_secrets_that_it_uses(rule, tmp_path):
    seen = tmp_path / "seen.json"
    command = JOB.format(rule=rule, seen=str(seen), log=str(tmp_path / "log"))
    environ = {**os.environ, **dict.fromkeys(SECRETS | PROXIES, "x" * 40), "HARMLESS": "1", "NO_PROXY": ".svc"}
    subprocess.run([sys.executable, "-c", command], cwd=ROOT, env=environ, check=True)
    for place, names in json.loads(seen.read_text()).items():
        assert SECRETS & set(names) == table().get(rule, frozenset()), place
        assert PROXIES & set(names) == (PROXIES if rule in table() else set()), place
        assert {"HARMLESS", "NO_PROXY", "PATH"} <= set(names)


def test_only_jobs_that_use_tator_have_the_token():
    """Determined from the imports of each script, so that a new script is not forgotten."""
    with_token = {rule for rule, used in table().items() if "TATOR_AUTH_TOKEN" in used}
    # Other jobs download the media of these.
    needs_none = {"detect", "detect_part"}
    assert {rule for rule, script in SCRIPT_OF.items() if _imports_api(script)} - needs_none == with_token
    assert len(SCRIPT_OF) == sum(path.read_text().count(" script:") for path in (ROOT / "rules").glob("*.smk"))


def _imports_api(script):
    names = {
        f"{node.module}.{alias.name}"
        for node in ast.walk(ast.parse((ROOT / f"scripts/{script}.py").read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    using_tator = (
        "server.api", "downloads.connection", "downloads.frames_again", "detection.shared_job", "uploads.upload_job",
    )  # fmt: skip
    return any(name.startswith(tuple(f"scripts.lib.{module}" for module in using_tator)) for name in names)


def test_each_script_runs_the_function_of_its_name_as_a_job():
    for script in SCRIPTS:
        assert f"job.run({script}, snakemake" in (ROOT / f"scripts/{script}.py").read_text()
