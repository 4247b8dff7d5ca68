"""Build a TensorRT engine of the network for this machine's GPU."""

import logging
import os
from pathlib import Path

from scripts.lib.detection.network import size_of_network
from scripts.lib.engines.table import ENGINES
from scripts.lib.engines.tensorrt.build import load_tensorrt, make_logger
from scripts.lib.engines.tensorrt.cuda import Gpu
from scripts.lib.engines.tensorrt.engine_file import engine_parts, load_engine, release_engine
from scripts.lib.engines.tensorrt.prepare_described import obstacle
from scripts.lib.errors import GraphError
from scripts.lib.files import write_json
from scripts.lib.graphs.description_values import from_values
from scripts.lib.graphs.signature_reader import read_file
from scripts.lib.records.network import ProvenanceRecord
from scripts.lib.records.record_files import read_record
from scripts.lib.workflow.configuration.engine_choice import choose_for_network
from scripts.lib.workflow.jobs import job

_log = logging.getLogger(__name__)


def build_engine(
    *,
    graph: Path,
    provenance: Path,
    record: Path,
    engines: Path,
    img_max_side: int | None,
    img_min_side: int | None,
    batch_size: int,
    precision: str,
    device: str,
) -> None:
    """Build the engine file before the first media needs it, and fail early if it cannot be built.

    A detection job on another model of GPU builds its own file next to this one. If `auto` chose TensorRT but the
    network suppresses its boxes itself, nothing is built, and the record says why.

    Args:
        graph: the network, cut before its suppression, as ONNX.
        provenance: the record of get_network.
        record: the JSON file to write, with the engine's file and everything that it depends on.
        engines: the folder of the engine files.
        img_max_side: width of the network's input in pixels; None for the size in its file.
        img_min_side: height of the network's input in pixels; None for the size in its file.
        batch_size: number of frames in a batch.
        precision: f16 or f32.
        device: detect.device: auto or cuda.

    Raises:
        GraphError: the network cannot be used.
        SettingsError: neither the settings nor the network have its size, or detect.device is cuda and the engine that
            `auto` chooses instead does not run there.
        DeviceError: GPU, driver or package is missing or fails.
    """
    source = read_record(ProvenanceRecord, provenance)
    description = None if source.description is None else from_values(source.description, str(provenance))
    problem = None if description is None else obstacle(read_file(graph), description)
    if problem is not None:
        chosen = choose_for_network("tensorrt", precision, problem, os.environ, device=device)
        if ENGINES[chosen.engine].is_built:
            raise GraphError(f"{graph}: {problem}; set detect.engine: openvino (or onnxruntime)")
        _log.info("%s: %s; %s is used", graph, chosen.reason, chosen.engine)
        write_json(record, {"file": None, "reason": chosen.reason})
        return
    size = size_of_network(graph, source, description, (img_max_side, img_min_side), str(graph))
    trt = load_tensorrt()
    logger = make_logger(trt)
    with Gpu() as gpu:
        parts = engine_parts(
            trt, gpu, graph, size=size, batch_size=batch_size, precision=precision, description=description
        )
        loaded = load_engine(trt, gpu, logger, graph=graph, folder=engines, parts=parts)
        release_engine(gpu, loaded)
    write_json(record, {"file": str(engines / parts.file)} | parts.values)


if __name__ == "__main__":
    job.run(build_engine, snakemake)  # type: ignore[name-defined]
