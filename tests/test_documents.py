"""README and docs: links have targets, each command is run by a test, and what is written twice is the same."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests import documents
from tests.documents import block
from tests.workflow import ROOT

TRACKED = [*documents.PAGES, "CHANGELOG.md"]


# The commands that no test runs, by page and first words, and why.
NOT_RUN = {
    ("docs/kubernetes.md", "docker push"): "needs a registry of one's own",
    ("docs/kubernetes.md", "kubectl get workflows,jobs"): "needs a cluster with Argo",
    ("docs/kubernetes.md", "kubectl logs"): "needs a cluster with Argo",
    ("docs/slurm.md", "squeue"): "needs a cluster with SLURM",
}


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", TRACKED)
def test_links_have_targets(name: str) -> None:
    page = ROOT / name
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{name}: {link}"
        assert not anchor or anchor in anchors(path), f"{name}: {link}"


def test_the_picture_of_the_report_is_small() -> None:
    assert "](docs/report.jpg)" in (ROOT / "README.md").read_text()
    assert (ROOT / "docs" / "report.jpg").stat().st_size < 300_000


def test_one_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def taken(functions: tuple[str, ...]) -> set[tuple[str, str]]:
    """Return page and command of what tests read with these functions of `tests/documents.py`."""
    found = set()
    for name, page, beginning in documents.calls(ROOT / "tests"):
        if name in functions:
            text = getattr(documents, name)(page, beginning)
            found |= {(page, line) for line in (documents.lines(text) if name == "block" else [text])}
    return found


def test_each_command_in_a_code_block_is_run_by_a_test() -> None:
    written = {
        (page, line)
        for page in documents.PAGES
        for text in documents.shell_blocks(page)
        for line in documents.lines(text)
    }
    run = taken(("block", "command"))
    excused = {(page, documents.command(page, beginning)) for page, beginning in NOT_RUN}
    assert not run & excused, "a command that is run needs no reason"
    missing = sorted(written - run - excused)
    assert not missing, (
        f"no test runs {missing}; take them with tests/documents.py in a test, or say in NOT_RUN why not"
    )


@pytest.mark.parametrize("page", documents.PAGES)
def test_commands_are_in_code_blocks_of_sh(page: str) -> None:
    """Only code blocks of `sh` are searched for commands."""
    assert documents.unmarked_commands(page) == []


def test_a_command_that_no_test_runs_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = "make dance   # a new one\nsnakemake --configfile my.yaml \\\n  -n\n"
    page = "new.md"
    (tmp_path / page).write_text(f"Text\n\n```sh\n{commands}```\n\n    kubectl get pods\n")
    monkeypatch.setattr(documents, "ROOT", tmp_path)
    [text] = documents.shell_blocks(page)
    assert documents.lines(text) == ["make dance", "snakemake --configfile my.yaml -n"]
    assert documents.command(page, "make") == "make dance"
    assert documents.unmarked_commands(page) == ["kubectl get pods"]


def test_commands_in_sentences_name_existing_targets_modules_and_options() -> None:
    """Make's targets, the modules, and each of the options."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    modules: dict[str, set[str]] = {}
    for page in documents.PAGES:
        for text in documents.inline_commands(page):
            parts = text.split()
            if parts[0] == "make":
                assert parts[1] in targets, f"{page}: {text}"
            if parts[:2] == ["python", "-m"] and parts[2] != "snakemake":
                modules.setdefault(parts[2], set()).update(word for word in parts[3:] if word.startswith("--"))
    assert {"scripts.commands.inspect_network", "scripts.commands.watch_run", "benchmarks.damage"} <= modules.keys()
    for module, options in modules.items():
        source = ROOT.joinpath(*module.split("."))
        path = source.with_suffix(".py") if source.with_suffix(".py").exists() else source / "__main__.py"
        assert path.exists(), module
        assert not [option for option in options if f'"{option}"' not in path.read_text()], module


@pytest.mark.parametrize(("page", "first"), [("CONTRIBUTING.md", "make setup-dev"), ("README.md", "make demo")])
def test_make_knows_its_targets(page: str, first: str) -> None:
    """Make only prints what it would run; `.ci/run` and `tests/test_demo.py` run the same."""
    setup, demo = block("CONTRIBUTING.md", "make setup-dev"), block("README.md", "make demo")
    commands = documents.lines({"CONTRIBUTING.md": setup, "README.md": demo}[page])
    assert commands[0] == first
    for line in commands:
        done = subprocess.run([*line.split(), "-n"], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
