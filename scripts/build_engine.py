"""Build TensorRT's engine of the network for this machine's GPU."""

from pathlib import Path

from scripts.lib.boxes import Size
from scripts.lib.engines.cuda import Gpu
from scripts.lib.engines.engine_file import engine_parts, load_engine
from scripts.lib.engines.tensorrt_build import load_tensorrt, make_logger
from scripts.lib.files import write_json
from scripts.lib.workflow import job


def build_engine(
    *,
    graph: Path,
    record: Path,
    engines: Path,
    img_max_side: int,
    img_min_side: int,
    batch_size: int,
    precision: str,
) -> None:
    """Build the engine file before the first media needs it, and fail early where it cannot be built.

    A detection job that runs on another model of GPU builds its own file beside this one.

    Args:
        graph: the network, cut before its suppression, as ONNX.
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
