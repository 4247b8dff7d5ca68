"""Let an interrupt end a process of a run at once and silently, while it only imports.

Python imports this file by its name at the start of each process whose PYTHONPATH names this folder, before Snakemake
or a library, whose imports take a second or more and may turn an interrupt into another error.
scripts/lib/workflow/interrupts.py passes the folder on, and has an interrupt raise KeyboardInterrupt again where work
begins.
"""

# The module `signal` imports enum first: milliseconds in which an interrupt would show a traceback.
import _signal as signal  # type: ignore[import-not-found]

PART_OF_A_RUN = True  # scripts/__init__.py: the run says what to do, not each of its processes

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored
    signal.signal(signal.SIGINT, signal.SIG_DFL)
