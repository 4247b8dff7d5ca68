"""The command line with which Snakemake was started."""

from collections.abc import Sequence

# Options with which Snakemake only shows something, or cleans up. The workflow's files are read before, and Snakemake
# does not tell them.
_RUN_NOTHING = frozenset(
    {
        *("--dag", "--rulegraph", "--filegraph", "--d3dag", "--summary", "-S", "--detailed-summary", "-D", "--lint"),
        *("--list-rules", "--list", "-l", "--list-target-rules", "--lt", "--list-changes", "--lc"),
        *("--list-input-changes", "--li", "--list-params-changes", "--lp", "--list-untracked", "--lu"),
        *("--list-conda-envs", "--report", "--archive", "--containerize", "--export-cwl", "--generate-unit-tests"),
        *("--cleanup-metadata", "--cm", "--cleanup-shadow", "--cs", "--unlock", "--conda-cleanup-envs"),
        *("--delete-all-output", "--delete-temp-output", "--conda-create-envs-only", "--container-cleanup-images"),
    }
)


def runs_nothing(arguments: Sequence[str]) -> bool:
    """Return whether Snakemake runs no jobs with these arguments, dry runs aside."""
    return any(argument.partition("=")[0] in _RUN_NOTHING for argument in arguments)
