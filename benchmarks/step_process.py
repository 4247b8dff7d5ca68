"""Run a rule's function in a separate process, as a job does: `python -m benchmarks.step_process SCRIPT ARGUMENTS LOG`.

ARGUMENTS is a file with a JSON object: the arguments of the function, paths as text, and `rule` if the name of the rule
differs from that of the script.
"""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from scripts.lib.files import read_json
from scripts.lib.workflow.jobs import job


def main(script: str, file: str, log: str) -> None:
    """Call the script as Snakemake does."""
    arguments: dict[str, Any] = read_json(Path(file))
    threads, rule = arguments.pop("threads", 1), arguments.pop("rule", script)
    snakemake = SimpleNamespace(
        input={},
        output={},
        params=arguments,
        threads=threads,
        log=[log],
        rule=rule,
        resources={},
        wildcards={},
        config={},
    )
    job.run(getattr(importlib.import_module(f"scripts.{script}"), script), snakemake)


if __name__ == "__main__":
    main(*sys.argv[1:])
