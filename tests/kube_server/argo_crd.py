"""Checks of a Workflow by an API server with Argo's full CRDs, and by Argo itself.

They use scripts/lib/registering/argo_fields.json, but none of the code that registers algorithms.
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
    """Refuse an invalid Workflow before parameters are replaced; also unknown fields, as with kubectl."""
    errors = list(_schema().iter_errors(body))
    if errors:
        causes = [f"{error.json_path.removeprefix('$.')}: {error.message}" for error in errors]
        raise invalid(f'Workflow.argoproj.io "{body["metadata"].get("name", "")}" is invalid: [{", ".join(causes)}]')
