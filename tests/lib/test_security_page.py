"""docs/security.md names existing files, and the secrets of each rule."""

import re

from scripts.lib.workflow import job_secrets
from tests.workflow import ROOT

RULES = {
    name
    for path in (ROOT / "rules").glob("*.smk")
    for name in re.findall(r"^ *(?:rule|checkpoint) (\w+):", path.read_text(), re.MULTILINE)
}
PAGE = (ROOT / "docs" / "security.md").read_text()


def test_each_file_named_on_the_page_exists() -> None:
    named = set(re.findall(r"`((?:tests|scripts|deploy)/[\w/.-]+\.py)`", PAGE))
    assert len(named) > 15
    assert sorted(name for name in named if not (ROOT / name).is_file()) == []


def test_the_page_lists_the_secrets_of_each_rule() -> None:
    listed: dict[str, set[str]] = {}
    for rules, secrets in re.findall(r"^\| ([^|]*`[^|]*) \| ([^|]*) \|$", PAGE, re.MULTILINE):
        if "TATOR_" in secrets or secrets == "None":
            listed |= {rule: set(re.findall(r"`(\w+)`", secrets)) for rule in re.findall(r"`(\w+)`", rules)}
    assert {rule: secrets for rule, secrets in listed.items() if secrets} == job_secrets.USED
    without = {rule for rule, secrets in listed.items() if not secrets}
    assert {"convert_network", "detect", "conclude"} <= without <= RULES - job_secrets.USED.keys()
