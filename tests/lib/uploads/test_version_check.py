"""The check for lost boxes with unexpected answers of a server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.files import write_json
from scripts.lib.uploads.version_check import check_for_losses
from tests.faults.hosts import host, reply


def losses_in(folder: Path, address: str, warn: Callable[[str], object]) -> int:
    """Check the version of a run in this folder."""
    write_json(folder / "upload.json", {"version_id": 3, "version": "v", "type_id": 4})
    return check_for_losses(
        {"host": address, "project_id": 1},
        {"TATOR_AUTH_TOKEN": "0123456789" * 4},
        destination=folder / "upload.json",
        summary=folder / "summary.json",
        memory=folder / "memory.json",
        warn=warn,
    )


@pytest.mark.parametrize("answer", [b"null", b"7", b"[7]", b"{}", b'"x"', b"[" * 100_000, b"", b'[{"ID": 1}]'])
def test_an_odd_answer_is_reported_and_the_run_continues(tmp_path: Path, answer: bytes) -> None:
    def odd(handler: Any) -> None:
        reply(handler, 200, answer)

    warnings: list[str] = []
    with host(odd) as (address, _):
        losses = losses_in(tmp_path, address, warnings.append)
    assert losses == (1 if answer == b"{}" else 0)  # an empty answer means that the version was deleted
    assert len(warnings) == 1


@pytest.mark.parametrize(("earlier", "losses"), [(2, 0), (1, 1)])
def test_boxes_of_earlier_runs_are_not_expected(tmp_path: Path, earlier: int, losses: int) -> None:
    """Nothing has looked whether they are still there, so that each run would find them lost again."""

    def empty(handler: Any) -> None:
        reply(handler, 200, b"0" if "LocalizationCount" in handler.path else b'[{"id": 3, "name": "v"}]')

    media = [{"media_id": 1, "boxes_in_tator": 2, "earlier_boxes": earlier}]
    write_json(tmp_path / "summary.json", {"totals": {"boxes_in_tator": 2}, "media": media})
    with host(empty) as (address, _):
        found = losses_in(tmp_path, address, lambda _: None)
    assert found == losses
