"""Two people register at once, and both add missing attributes: each attribute exists once, and neither fails."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import tator
import yaml

from tests.faults.steps import until
from tests.scripts.register_steps import IMAGE, SETTINGS, SINGLE, register, server
from tests.workflow import ROOT

__all__ = ["register", "server"]

SPECIES = {"name": "Species", "dtype": "string"}


@pytest.fixture
def race(register, server) -> Callable[..., tuple[int, str, list[tuple[str, str]]]]:
    """Return a function that registers while somebody adds an attribute, and returns code, message and attributes."""

    def run(fault: str, added: str) -> tuple[int, str, list[tuple[str, str]]]:
        server.change("localization_type", 31, attribute_types=[SPECIES])
        server.clear_requests()
        server.fault(fault, operation="CreateAttributeType", seconds=3)
        api = tator.get_api(server.host, server.token)

        def other() -> Any:
            until(lambda: server.requests("CreateAttributeType"))
            addition = {"name": "Confidence", "dtype": added, "required": False}
            return api.create_attribute_type(31, {"entity_type": "LocalizationType", "addition": addition})

        with ThreadPoolExecutor(1) as pool:
            added_by_other = pool.submit(other)
            code, _, complaint = register("--apply")
        if fault == "late_commit":  # Tator locks the type, and does not wait for a lock
            assert "could not obtain lock on row" in str(added_by_other.exception())
        else:
            assert added_by_other.result().message == "New attribute type 'Confidence' added"
        [kind] = [one for one in server.all("localization_type") if one["id"] == 31]
        return code, complaint, [(one["name"], one["dtype"]) for one in kind["attribute_types"]]

    return run


@pytest.mark.parametrize("fault", ["slow", "late_commit"])
def test_an_attribute_added_by_both_exists_once(race, fault: str) -> None:
    """The later request is refused, because the attribute exists by then or another transaction has locked the type."""
    assert race(fault, "float") == (0, "", [("Species", "string"), ("Confidence", "float")])


def test_an_attribute_of_another_type_is_refused(race) -> None:
    code, complaint, attributes = race("slow", "string")
    assert (code, attributes) == (1, [("Species", "string"), ("Confidence", "string")])
    assert "box type 'Box' has no float attribute 'Confidence'; it has Species (string), Confidence (str" in complaint


@pytest.mark.parametrize("names", [("Confidence", "Confidence"), ("Confidence", "Score")], ids=["same", "different"])
def test_two_registrations_at_once(server, tmp_path, names: tuple[str, str]) -> None:
    """Each adds an attribute of the box type and one of both media types; all of them exist at the end."""
    server.change("localization_type", 31, attribute_types=[SPECIES])
    # Long enough for the two to meet if one of them starts late on a busy machine.
    server.fault("late_commit", operation="CreateAttributeType", seconds=3, times=None)
    runs = []
    for number, name in enumerate(names):
        folder = tmp_path / str(number)
        folder.mkdir()
        wanted = {**SETTINGS, "mark": {"attribute": f"Done {name}"}}
        wanted["upload"] = {**SETTINGS["upload"], "confidence_attribute": name}
        (folder / "my.yaml").write_text(yaml.safe_dump(wanted))
        arguments = ["--name", f"Detect {number}", "--config", "my.yaml", "--set", f"image={IMAGE}", "--apply"]
        arguments += ["--set", "storage_class=fast"]
        command = [sys.executable, "-m", "scripts.commands.register_algorithm", SINGLE, *arguments]
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "TATOR_PATIENCE_SECONDS": "120"}
        runs.append(subprocess.Popen(command, cwd=folder, env=environ, stderr=subprocess.PIPE, text=True))
    complaints = [run.communicate(timeout=300)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], complaints
    kinds = {one["id"]: one for kind in ("localization_type", "media_type") for one in server.all(kind)}
    of_boxes = [(one["name"], one["dtype"]) for one in kinds[31]["attribute_types"]]
    assert sorted(of_boxes) == sorted({("Species", "string"), *((name, "float") for name in names)})
    for type_id in (server.video_type_id, server.image_type_id):
        of_media = [one["name"] for one in kinds[type_id]["attribute_types"]]
        assert all(of_media.count(f"Done {name}") == 1 for name in names)
    refused = [one for one in server.requests("CreateAttributeType") if one["status"] == 400]
    assert refused, "the two did not meet"
