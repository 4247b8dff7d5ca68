"""Let an interrupt end a process of a run immediately and silently, while the process is still importing.

Python imports this file by its name at the start of each process whose PYTHONPATH names this folder, before Snakemake
or any library, whose imports take a second or more and may turn an interrupt into another error.
../interrupts.py passes the folder to the processes, and lets an interrupt raise KeyboardInterrupt again where work
begins. Python imports only one file of this name, so this one runs the next one on the path, in which a site may set
up its certificates or proxies.
"""

# The module `signal` first imports enum, which takes milliseconds in which an interrupt would show a traceback.
import _signal as signal  # type: ignore[import-not-found]
import sys
from _frozen_importlib_external import PathFinder

PART_OF_A_RUN = True  # for scripts/__init__.py: only the run prints what to do, not each of its processes

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # unless it is ignored
    signal.signal(signal.SIGINT, signal.SIG_DFL)
# ../interrupts.py starts Snakemake with the signal blocked, until here.
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])

_others = [
    _folder for _folder in sys.path if not _folder.endswith("/processes/startup")
]  # nor that of another checkout
_other = PathFinder.find_spec(__name__, _others)
if _other is not None and _other.loader is not None:
    _other.loader.exec_module(sys.modules[__name__])
