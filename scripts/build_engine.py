"""Build TensorRT's engine of the network for this machine's GPU."""

import logging
import os
from pathlib import Path

from scripts.lib.detection.network import size_of_network
from scripts.lib.engines.cuda import Gpu
from scripts.lib.engines.engine_file import engine_parts, let_go, load_engine
from scripts.lib.engines.prepare_described import obstacle
from scripts.lib.engines.table import ENGINES
from scripts.lib.engines.tensorrt_build import load_tensorrt, make_logger
from scripts.lib.errors import GraphError
from scripts.lib.files import write_json
from scripts.lib.graphs.description import from_values
from scripts.lib.graphs.signature_reader import read_file
from scripts.lib.record_files import read_record
from scripts.lib.records.network import ProvenanceRecord
from scripts.lib.workflow import job
from scripts.lib.workflow.engine_choice import choose_for_network

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
) -> None:
    """Build the engine file before the first media needs it, and fail early if it cannot be built.

    A detection job on another model of GPU builds another file in the same folder. If `auto` chose TensorRT but the
    network suppresses its boxes itself, nothing is built, and the record says why.

    Args:
        graph: the network, cut before its suppression, as ONNX.
        provenance: the record of get_network.
        record: the JSON file to write: the engine's file, and everything that the file depends on.
        engines: the folder of the engine files.
        img_max_side: width of the network's input in pixels; None for the size in its file.
        img_min_side: height of the network's input in pixels; None for the size in its file.
        batch_size: number of frames in a batch.
        precision: f16 or f32.

    Raises:
        GraphError: the network cannot be used.
        SettingsError: neither the settings nor the network have its size.
        DeviceError: GPU, driver or package is missing or fails.
    """
    fetched = read_record(ProvenanceRecord, provenance)
    description = None if fetched.description is None else from_values(fetched.description, str(provenance))
    against = None if description is None else obstacle(read_file(graph), description)
    if against is not None:
        chosen = choose_for_network("tensorrt", precision, against, os.environ)
        if ENGINES[chosen.engine].is_built:
            raise GraphError(f"{graph}: {against}; set detect.engine: openvino (or onnxruntime)")
        _log.info("%s: %s; %s is used", graph, chosen.reason, chosen.engine)
        write_json(record, {"file": None, "reason": chosen.reason})
        return
    size = size_of_network(graph, fetched, description, (img_max_side, img_min_side), str(graph))
    trt = load_tensorrt()
    logger = make_logger(trt)
    with Gpu() as gpu:
        parts = engine_parts(
            trt, gpu, graph, size=size, batch_size=batch_size, precision=precision, description=description
        )
        loaded = load_engine(trt, gpu, logger, graph=graph, folder=engines, parts=parts)
        let_go(gpu, loaded)
    write_json(record, {"file": str(engines / parts.file)} | parts.values)


if __name__ == "__main__":
    job.run(build_engine, snakemake)  # type: ignore[name-defined]
