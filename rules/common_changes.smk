"""Functions that let Snakemake notice changes that it overlooks otherwise."""

from scripts.lib.workflow.planning import rule_params


def compare_params_by_name():
    """Let Snakemake compare the parameters of all rules with their names; call it after the last rule."""
    rule_params.add_hashes(workflow.rules)
