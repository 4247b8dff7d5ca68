"""Whether Snakemake runs jobs, by its command line."""

import pytest
from snakemake.cli import parse_args

from scripts.lib.workflow.processes.command import RUN_NOTHING, arguments, runs_nothing


@pytest.mark.parametrize(
    "words",
    [
        ["--summary"],
        ["--summ"],
        ["--configfile", "my.yaml", "-D"],
        ["-pS"],
        ["--report=page.html"],
        ["--reporter", "html"],
        ["--list-target"],
        ["--profile", "PROFILE"],
    ],
)
def test_commands_that_only_show_something(words, tmp_path):
    (tmp_path / "config.yaml").write_text("lint: text\n")
    _, args = parse_args([word.replace("PROFILE", str(tmp_path)) for word in words])
    assert runs_nothing(args)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--forcerun", "detect"],
        ["--touch"],
        ["--configfile", "report"],
        ["--report", "page.html", "--report-after-run"],
    ],
)
def test_commands_that_run_jobs(words):
    _, args = parse_args(words)
    assert not runs_nothing(args)


def test_snakemake_has_these_options():
    _, args = parse_args([])
    assert set(vars(args)) >= RUN_NOTHING | {"report", "reporter", "report_after_run", "drop_metadata", "allowed_rules"}


def test_a_process_that_snakemakes_command_line_did_not_start_has_no_arguments():
    assert not runs_nothing(arguments())
