"""Build TensorRT's engine of the network for this machine's GPU."""

import logging
import os
from pathlib import Path

from scripts.lib.boxes import Size
from scripts.lib.engines.cuda import Gpu
from scripts.lib.engines.engine_file import engine_parts, load_engine
from scripts.lib.engines.table import ENGINES
from scripts.lib.engines.tensorrt_build import load_tensorrt, make_logger
from scripts.lib.errors import GraphError
from scripts.lib.files import write_json
from scripts.lib.record_files import read_record
from scripts.lib.records.network import ProvenanceRecord
from scripts.lib.workflow import job
from scripts.lib.workflow.engine_choice import choose_for_family

_log = logging.getLogger(__name__)


def build_engine(
    *,
    graph: Path,
    provenance: Path,
    record: Path,
    engines: Path,
    img_max_side: int,
    img_min_side: int,
    batch_size: int,
    precision: str,
) -> None:
    """Build the engine file before the first media needs it, and fail early where it cannot be built.

    A detection job that runs on another model of GPU builds its own file beside this one. Where `auto` took TensorRT
    and the network is of a family that it does not run, nothing is built, and the record says why.

    Args:
        graph: the network, cut before its suppression, as ONNX.
        provenance: what get_network found out of the network.
        record: the JSON file to write: the engine's file, and all it depends on.
        engines: the folder of the engine files.
        img_max_side: width of the network's input in pixels.
        img_min_side: height of the network's input in pixels.
        batch_size: frames that go through the network at once.
        precision: f16 or f32.

    Raises:
        GraphError: the network cannot be used.
        DeviceError: GPU, driver or package is not there, or fails.
    """
    description = read_record(ProvenanceRecord, provenance).description
    if description is not None:
        family = description["family"]
        chosen = choose_for_family("tensorrt", precision, family, os.environ)
        if ENGINES[chosen.engine].is_built:
            raise GraphError(
                f"{graph}: is of the family {family}, which TensorRT does not run; set detect.engine: openvino "
                "(or onnxruntime)"
            )
        _log.info("%s: %s; %s is used", graph, chosen.reason, chosen.engine)
        write_json(record, {"file": None, "reason": chosen.reason})
        return
    trt = load_tensorrt()
    logger = make_logger(trt)
    size = Size(img_max_side, img_min_side)
    with Gpu() as gpu:
        parts = engine_parts(trt, gpu, graph, size=size, batch_size=batch_size, precision=precision)
        loaded = load_engine(trt, gpu, logger, graph=graph, folder=engines, parts=parts)
        with gpu.current():
            while loaded:
                loaded.pop(0)  # the engine before its runtime
    write_json(record, {"file": str(engines / parts.file)} | parts.values)


if __name__ == "__main__":
    job.run(build_engine, snakemake)  # type: ignore[name-defined]
