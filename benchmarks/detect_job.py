"""Run the detect step as a separate process: `python -m benchmarks.detect_job ARGUMENTS STARTED`.

ARGUMENTS is a JSON object of the step's arguments, STARTED the monotonic clock when this process was requested. Writes
a JSON object: the seconds from then until the modules were imported, the engine was ready, the first batch was done,
and the end.
"""

import json
import sys
import time
from typing import Any
from unittest import mock

from scripts import detect as step
from scripts.lib.detection import network
from scripts.lib.engines import table
from scripts.lib.engines.base import Engine, Outputs
from scripts.lib.workflow.jobs import job


def main(text: str, started: str) -> None:
    """Run the step and record when it reached each point."""
    seconds: dict[str, float] = {}

    def mark(name: str) -> None:
        seconds.setdefault(name, time.monotonic() - float(started))

    def open_engine(*arguments: Any, **settings: Any) -> Engine:
        engine = table.open_engine(*arguments, **settings)
        finish = engine.finish

        def marked() -> Outputs:
            outputs = finish()
            mark("first_batch")
            return outputs

        mark("engine")
        engine.finish = marked  # type: ignore[method-assign]
        return engine

    mark("imports")
    arguments = job.bind(step.detect, json.loads(text))
    with mock.patch.object(network, "open_engine", open_engine):
        step.detect(**arguments)
    mark("end")
    sys.stdout.write(json.dumps(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
