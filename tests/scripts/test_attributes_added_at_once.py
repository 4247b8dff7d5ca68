"""Two people register at once, and both add the attribute that is missing: it is there once, and neither fails."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import tator

from tests.faults.steps import until
from tests.scripts.test_register_algorithm import register, server

__all__ = ["register", "server"]

SPECIES = {"name": "Species", "dtype": "string"}


@pytest.fixture
def race(register, server) -> Callable[..., tuple[int, str, list[tuple[str, str]]]]:
    """Return a function that registers while somebody adds an attribute: exit code, complaint, the box type's."""

    def run(fault: str, added: str) -> tuple[int, str, list[tuple[str, str]]]:
        server.change("localization_type", 31, attribute_types=[SPECIES])
        server.clear_requests()
        server.fault(fault, operation="CreateAttributeType", seconds=3)
        api = tator.get_api(server.host, server.token)

        def other() -> Any:
            until(lambda: server.requests("CreateAttributeType"))
            addition = {"name": "Confidence", "dtype": added, "required": False}
            return api.create_attribute_type(31, {"entity_type": "LocalizationType", "addition": addition})

        with ThreadPoolExecutor(1) as beside:
            begun = beside.submit(other)
            code, _, complaint = register("--apply")
        assert begun.result().message == "New attribute type 'Confidence' added"
        [kind] = [one for one in server.all("localization_type") if one["id"] == 31]
        return code, complaint, [(one["name"], one["dtype"]) for one in kind["attribute_types"]]

    return run


@pytest.mark.parametrize("fault", ["slow", "late_commit"])
def test_it_is_there_once(race, fault: str) -> None:
    """The later request is refused because the attribute is there by then; or it does not see the other's."""
    assert race(fault, "float") == (0, "", [("Species", "string"), ("Confidence", "float")])


def test_another_kind_of_attribute_is_said(race) -> None:
    code, complaint, attributes = race("slow", "string")
    assert (code, attributes) == (1, [("Species", "string"), ("Confidence", "string")])
    assert "box type 'Box' has no float attribute 'Confidence'; it has Species (string), Confidence (str" in complaint
