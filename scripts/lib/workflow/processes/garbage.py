"""Make Python's garbage collector work less while a run is planned."""

import gc

# Of Python's defaults, 700, 10 and 10.
_THRESHOLDS = (10_000, 50, 100)


def collect_rarely() -> None:
    """Leave out what exists now from all collections in this process, and collect less often.

    Snakemake's modules, rules and plan stay until the process ends. By default Python searches them for garbage again
    and again, which takes a fifth of the processor time of a plan, and of a job's start on a cluster.
    """
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
