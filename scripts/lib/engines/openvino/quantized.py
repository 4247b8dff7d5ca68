"""Recognize networks quantized to int8, and processors on which OpenVINO computes them less exactly."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import openvino  # type: ignore[import-untyped]

_log = logging.getLogger(__name__)

QUANTIZED = "FakeQuantize"
_CPU = Path("/proc/cpuinfo")
_FLAGS, _VNNI = "flags", "vnni"  # only x86 processors have a line of flags; it names avx_vnni or avx512_vnni


def is_quantized(model: "openvino.Model") -> bool:
    """Return whether layers of a graph compute with bytes."""
    return any(op.get_type_name() == QUANTIZED for op in model.get_ops())


def warn_of_saturation(graph: str) -> None:
    """Log a warning if this processor is an x86 without VNNI instructions.

    There OpenVINO adds products of bytes in 16 bits, and larger sums become the largest number of 16 bits.

    Args:
        graph: name of the quantized graph.
    """
    if _lacks_vnni():
        _log.warning(
            "%s: a network in int8, on a processor without VNNI instructions, on which sums of products are limited to "
            "16 bits: its scores and boxes may be worse. Compare some media with the network in f32 (python -m "
            "scripts.commands.compare_runs), or use a processor with VNNI",
            graph,
        )


def _lacks_vnni() -> bool:
    try:
        lines = _CPU.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False  # not Linux
    flags = next((line for line in lines if line.startswith(_FLAGS)), None)
    return flags is not None and _VNNI not in flags
