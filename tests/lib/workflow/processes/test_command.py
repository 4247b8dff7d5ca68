"""Whether Snakemake runs jobs, by its command line."""

import pytest

from scripts.lib.workflow.processes.command import runs_nothing


@pytest.mark.parametrize("arguments", [["--summary"], ["--configfile", "my.yaml", "-D"], ["--report=page.html"]])
def test_commands_that_only_show_something(arguments: list[str]) -> None:
    assert runs_nothing(arguments)


@pytest.mark.parametrize("arguments", [[], ["--forcerun", "detect"], ["--touch"], ["--configfile", "report"]])
def test_commands_that_run_jobs(arguments: list[str]) -> None:
    assert not runs_nothing(arguments)
