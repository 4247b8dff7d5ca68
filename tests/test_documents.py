"""README and docs: links that lead somewhere, commands that work as written, and what stands in two places."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import tator
import yaml

from tests.tator_server.launch import Server
from tests.workflow import ROOT

TRACKED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
).stdout.split()
NETWORK = ROOT / "tests" / "data" / "synthetic"


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", TRACKED)
def test_links_lead_somewhere(name: str) -> None:
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


class Clone:
    """A folder that looks like a fresh clone, in which a shell runs commands of the documents."""

    def __init__(self, folder: Path, server: Server) -> None:
        for name in ("Snakefile", "config", "profiles", "rules", "scripts", "reports", "envs"):
            (folder / name).symlink_to(ROOT / name)
        self.folder, self.server = folder, server

    def run(self, commands: str) -> str:
        """Run commands as a shell does; return their output."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("TATOR_AUTH")}
        environ |= {"TOKEN": self.server.token, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["bash", "-e"],
            input=commands,
            cwd=self.folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def boxes(self) -> list[str]:
        """Return the elemental ids of the boxes in Tator."""
        found = tator.get_api(self.server.host, self.server.token).get_localization_list(self.server.project_id)
        return sorted(box["elemental_id"] for box in found)


@pytest.fixture
def clone(tmp_path: Path, tator_server: Server) -> Clone:
    folder = tmp_path / "clone"
    folder.mkdir()
    return Clone(folder, tator_server)


def replaced(text: str, own: dict[str, str]) -> str:
    """Put what is the site's own in the place of a document's examples, each of which has to be there."""
    for example, value in own.items():
        assert example in text, example
        text = text.replace(example, value)
    return text


def test_readme_s_settings_and_commands_as_written(clone: Clone) -> None:
    readme, server = (ROOT / "README.md").read_text(), clone.server
    [settings] = re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL)
    own = {
        "https://tator.example.org": server.host,
        "project_id: 4": f"project_id: {server.project_id}",
        "[15, 16, 22]": str(list(server.media)),
        "/data/networks/fish": str(NETWORK),
        "1280": "320",
        "720": "180",
        "localization_type_id: 3": f"localization_type_id: {server.localization_type_id}",
    }
    (clone.folder / "my.yaml").write_text(replaced(settings, own))
    [commands] = [block for block in re.findall(r"```sh\n(.*?)```", readme, re.DOTALL) if "my.yaml -n" in block]
    told = clone.run(replaced(commands, {"make setup && . .venv/bin/activate": "", "=...": '="$TOKEN"'}))
    assert "This was a dry-run" in told
    assert clone.boxes()
    assert (clone.folder / "results" / "overview.html").exists()


def test_running_again_as_written(clone: Clone) -> None:
    page, server = (ROOT / "docs" / "running.md").read_text(), clone.server
    select, unlock = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    own = {"https://tator.example.org": server.host, "--project 4": f"--project {server.project_id}"}
    select = replaced(select, {**own, "--section 12 --unprocessed": "--name clip"})
    settings = {
        "tator": {"host": server.host, "project_id": server.project_id, "media_file": "media.txt"},
        "network": {"directory": str(NETWORK)},
        "detect": {"img_max_side": 320, "img_min_side": 180, "max_frames": 2},
        "upload": {"localization_type_id": server.localization_type_id},
    }
    (clone.folder / "my.yaml").write_text(yaml.safe_dump(settings))
    export = 'export TATOR_AUTH_TOKEN="$TOKEN"\n'
    clone.run(export + select + unlock)
    forced = re.findall(r"`(--forcerun \w+)`", page)
    assert len(forced) == 2
    boxes = clone.boxes()
    assert boxes
    for option in forced:
        clone.run(f"{export}snakemake --configfile my.yaml {option}")
    assert clone.boxes() == boxes
