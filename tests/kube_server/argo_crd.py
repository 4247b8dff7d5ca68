"""What an API server checks of a Workflow where Argo's full CRDs are installed, and Argo when it reads one.

It uses the facts of scripts/lib/registering/argo_fields.json and nothing of the code that registers algorithms.
"""

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from tests.workflow import ROOT

from .errors import invalid

FACTS = ROOT / "scripts" / "lib" / "registering" / "argo_fields.json"


@cache
def _schema() -> Draft202012Validator:
    return Draft202012Validator(json.loads(FACTS.read_text()))


def check_workflow(body: dict[str, Any]) -> None:
    """Refuse a Workflow as it was sent, before any parameter is filled in; unknown fields too, as kubectl asks for."""
    errors = list(_schema().iter_errors(body))
    if errors:
        causes = [f"{error.json_path.removeprefix('$.')}: {error.message}" for error in errors]
        raise invalid(f'Workflow.argoproj.io "{body["metadata"].get("name", "")}" is invalid: [{", ".join(causes)}]')
