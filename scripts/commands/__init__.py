"""The commands that people call: `python -m scripts.commands.NAME`.

While a command is still importing, an interrupt ends it at once with one sentence, as a library may turn
KeyboardInterrupt into another error. lib/command_line.py raises KeyboardInterrupt again once the work begins.
"""

import signal
import sys

from scripts.lib.workflow.processes import interrupts

# sys.argv[0] is `-m` while Python searches for the command's module; importing a command changes nothing.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, interrupts.end_at_once)
