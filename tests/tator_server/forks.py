"""Start servers from one process that has imported all they need, which takes most of the time of a start.

    python -m tests.tator_server.forks

Each line of its input is a JSON list of arguments, and begets a server; it answers with a line of JSON: the server's
`pid`, and the line that the server wrote `first`, empty where it did not start. When its input ends, all of them end.
"""

import json
import os
import signal
import sys

import av  # noqa: F401 - with the next, what the server looks into files with
import PIL.Image

from . import __main__ as server


def main() -> None:
    """Start a server for each line of the input."""
    PIL.Image.init()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no server that ended is waited for
    for line in sys.stdin:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(writing, 1)
            os.close(reading)
            os.close(writing)
            sys.argv[1:] = json.loads(line)
            server.main()
            return
        os.close(writing)
        with os.fdopen(reading) as output:
            first = output.readline()
        print(json.dumps({"pid": pid, "first": first}), flush=True)  # noqa: T201 - launch.py reads this line
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)


if __name__ == "__main__":
    main()
