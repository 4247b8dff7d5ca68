"""The commands that people call: `python -m scripts.commands.NAME`.

An interrupt while a command is still importing ends it at once with one sentence, as libraries may turn it into
another error;
lib/command_line.py has it raise KeyboardInterrupt again where the work begins.
"""

import signal
import sys

from scripts.lib.workflow.processes import interrupts

# `-m` stands there while Python looks for the command's module; a command that is imported changes nothing.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, interrupts.end_at_once)
