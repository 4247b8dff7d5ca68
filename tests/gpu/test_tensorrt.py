"""TensorRT on a real GPU, compared with OpenVINO on the same frames of the sample clip."""

import numpy as np
import pytest

from tests.gpu.sample import TOLERANCES, assert_close, opened, outputs_of


@pytest.mark.parametrize("precision", sorted(TOLERANCES))
def test_boxes_equal_those_of_openvino(batches, folder, expected, precision):
    with opened("tensorrt", folder, precision=precision) as engine:
        assert_close(outputs_of(engine, batches), expected, precision)


def test_an_engine_file_gives_the_same_boxes(batches, folder):
    with opened("tensorrt", folder, precision="f16") as engine:
        first, file = outputs_of(engine, batches), engine.description["file"]
    written = (folder / str(file)).stat().st_mtime_ns
    with opened("tensorrt", folder, precision="f16") as engine:
        second = outputs_of(engine, batches)
    assert (folder / str(file)).stat().st_mtime_ns == written
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_engine_for_another_machine_is_built_again(batches, folder):
    from scripts.lib.files import read_json, sha256, write_json

    with opened("tensorrt", folder, precision="f16") as engine:
        path = folder / str(engine.description["file"])
    path.write_bytes(b"ftrt" + bytes(1000))
    write_json(path.with_suffix(".json"), read_json(path.with_suffix(".json")) | {"sha256": sha256(path)})
    with opened("tensorrt", folder, precision="f16") as engine:
        assert np.isfinite(engine.infer(batches[0]).boxes).all()


def test_gpu_memory_is_released(batches, folder):
    import pycuda.driver as cuda

    def free() -> int:
        cuda.init()
        context = cuda.Device(0).retain_primary_context()
        context.push()
        found = cuda.mem_get_info()[0]
        cuda.Context.pop()
        return int(found)

    with opened("tensorrt", folder, precision="f16") as engine:
        engine.infer(batches[0])
    before = free()
    for _ in range(5):
        with opened("tensorrt", folder, precision="f16") as engine:
            engine.infer(batches[0])
    assert before - free() < 50e6
