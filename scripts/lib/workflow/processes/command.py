"""The command line with which Snakemake was started."""

import sys
from argparse import Namespace
from types import FrameType

# Options with which Snakemake only shows something, or cleans up. The workflow's files are read before, and Snakemake
# does not tell them. Names in Snakemake's own parser, which knows abbreviations, combined options and profiles.
RUN_NOTHING = frozenset(
    {
        *("dag", "rulegraph", "filegraph", "d3dag", "summary", "detailed_summary", "lint", "print_compilation"),
        *("list_rules", "list_target_rules", "list_changes", "list_input_changes", "list_params_changes"),
        *("list_untracked", "list_conda_envs", "archive", "containerize", "generate_unit_tests", "cleanup_metadata"),
        *("cleanup_shadow", "unlock", "conda_cleanup_envs", "conda_create_envs_only", "container_cleanup_images"),
        *("delete_all_output", "delete_temp_output"),
    }
)


def arguments() -> Namespace:
    """Return the arguments that Snakemake has parsed; empty if its command line did not start this process.

    They are taken from the function of Snakemake that reads the workflow's files. Parsing the command line again would
    look for relative profiles in another folder, as Snakemake has entered the run's folder.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "args_to_api" and frame.f_globals.get("__name__") == "snakemake.cli":
            found: Namespace = frame.f_locals["args"]
            return found
        frame = frame.f_back
    return Namespace()


def runs_nothing(args: Namespace) -> bool:
    """Return whether Snakemake runs no jobs with these arguments, dry runs aside.

    Args:
        args: the arguments that Snakemake has parsed.
    """
    options = vars(args)
    reports = options.get("report") or options.get("reporter")
    if reports and not options.get("report_after_run"):
        return True
    return any(options.get(name) not in (None, False, [], set()) for name in RUN_NOTHING)
