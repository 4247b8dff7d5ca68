"""TensorRT for described networks: the input is bytes, and pixels are prepared inside the engine."""

from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from scripts.lib.boxes import Pixels, Size
from scripts.lib.engines.cuda import Buffer, Gpu
from scripts.lib.engines.described import Runner, cut, parts
from scripts.lib.engines.engine_file import engine_parts, let_go, load_engine
from scripts.lib.engines.feeding import COLOURS, Input
from scripts.lib.engines.prepare_described import FRAMES, output_name
from scripts.lib.engines.tensorrt_build import checked, load_tensorrt, make_logger
from scripts.lib.engines.tensorrt_place import Place
from scripts.lib.engines.top_k_described import MEAN, PLACES, Found, Picking, names_picked, plan_picking
from scripts.lib.graphs.description import Description


class TensorRtRunner(Runner):
    """Runs a graph with TensorRT, as many frames at a time as it takes at once, two batches under way."""

    depth = 2

    def __init__(
        self, graph: Path, description: Description, taken: Input, *, size: Size, batch_size: int, threads: int,
        precision: str, folder: Path,
    ) -> None:  # fmt: skip
        """Load the engine file of a graph, or build it.

        Args:
            graph: an `.onnx` file.
            description: the description of its family.
            taken: its input.
            size: the size of its input.
            batch_size: frames in a batch.
            threads: number of CPU threads; not used.
            precision: f16 or f32.
            folder: the folder of the engine files.

        Raises:
            GraphError: the graph cannot be used.
            DeviceError: GPU, driver or package is missing or fails.
        """
        trt = load_tensorrt()
        self._unit = taken.batch or batch_size
        self._each = len(description.outputs.of_picture)
        self._under_way: deque[tuple[list[_Place], list[Pixels]]] = deque()
        self._idle: deque[list[_Place]] = deque()
        names = [output_name(at) for at in range(len(description.outputs.all))]
        self._description = description
        with ExitStack() as stack:
            self._gpu = stack.enter_context(Gpu())
            logger = make_logger(trt)
            made_of = engine_parts(
                trt, self._gpu, graph, size=size, batch_size=batch_size, precision=precision, description=description
            )
            loaded = load_engine(trt, self._gpu, logger, graph=graph, folder=folder, parts=made_of)
            stack.callback(let_go, self._gpu, loaded)
            with self._gpu.current():
                count = loaded[0].num_io_tensors
                given = [checked("ICudaEngine.get_tensor_name", loaded[0].get_tensor_name(at), logger)
                         for at in range(count)]  # fmt: skip
            self._picks = MEAN in given
            picked = names_picked(self._each) if self._picks else []
            kinds = {
                FRAMES: description.resize.dtype,
                **{name: np.int32 if name == PLACES else np.float32 for name in (*names, *picked)},
            }
            for _ in range(self.depth):
                places = [_Place(self._gpu, logger, len(names)) for _ in range(-(-batch_size // self._unit))]
                for place in places:
                    stack.callback(place.close)
                    place.open(loaded[0], kinds, (self._unit, size.height, size.width, COLOURS))
                self._idle.append(places)
            self._cleanup = stack.pop_all()
        self.version = made_of.tensorrt
        self.record = {
            "device": made_of.gpu.name,
            "compute_capability": made_of.gpu.compute_capability,
            "driver": made_of.gpu.driver,
            "file": made_of.file,
        }

    def start(self, batch: Pixels) -> None:
        """Begin a batch, of which this takes a copy."""
        places, pieces = self._idle.popleft(), parts(batch, self._unit)
        with self._gpu.current():
            for place, piece in zip(places, pieces, strict=False):
                place.start(piece)
        self._under_way.append((places, pieces))

    def finish(self) -> list[Found]:
        """Wait for the oldest batch under way; its arrays last until the next `start`."""
        places, pieces = self._under_way.popleft()
        found: list[Found] = []
        with self._gpu.current():
            for place, piece in zip(places, pieces, strict=False):
                outputs = place.finish(len(piece))
                found.extend(
                    [outputs]
                    if outputs.places is not None
                    else cut(outputs.outputs, self._each, len(piece), self._unit)
                )
        self._idle.append(places)
        return found

    def pick(self, least_score: float) -> int | None:
        """Copy only the boxes that may score so much, where the engine picks them."""
        if not self._picks:
            return None
        picking = plan_picking(self._description, self._idle[0][0].shapes)
        if picking is None:
            return None
        for places in self._idle:
            for place in places:
                place.picked_by = (picking, least_score)
        return picking.most

    def close(self) -> None:
        """Wait for what is under way and free everything; may be called again."""
        self._under_way.clear()
        self._idle.clear()
        self._cleanup.close()


class _Place(Place):
    """A place for as many frames as the network takes at once.

    Attributes:
        picked_by: how the best boxes are picked, and what they score at least; None if all are copied.
    """

    def __init__(self, gpu: Gpu, logger: Any, count: int) -> None:
        """Say how many outputs there are, before those that are picked."""
        super().__init__(gpu, logger)
        self._count = count
        self.picked_by: tuple[Picking, float] | None = None

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the outputs."""
        return [buffer.host.shape for buffer in self._whole]

    @property
    def _whole(self) -> list[Buffer]:
        return self._buffers[1 : 1 + self._count]

    @property
    def _picked(self) -> list[Buffer]:
        return self._buffers[1 + self._count :]

    def start(self, piece: Pixels) -> None:
        """Queue frames; the GPU is current."""
        self._execute(piece)
        self._download(self._picked if self.picked_by else self._whole)

    def finish(self, count: int) -> Found:
        """Wait for them, so many; the GPU is current."""
        self._stream.synchronize()
        if self.picked_by is not None:
            picking, least_score = self.picked_by
            found = picking.found([buffer.host[:count] for buffer in self._picked], least_score)
            if found is not None:
                return found
            self._download(self._whole)
            self._stream.synchronize()
        return Found([buffer.host for buffer in self._whole])
