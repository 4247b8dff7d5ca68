"""Refuse networks that do not detect boxes, by their metadata or the shapes of their outputs."""

from scripts.lib.errors import GraphError
from scripts.lib.graphs.other_families import gives_rows
from scripts.lib.graphs.signature import Signature

# What a network finds, by the name of its task in Ultralytics.
_TASKS = {
    "segment": "outlines of objects (segmentation)",
    "pose": "key points of objects (pose)",
    "classify": "one class for a whole picture (classification)",
    "obb": "turned boxes (oriented bounding boxes)",
    "semantic": "a class for each pixel (semantic segmentation)",
    "depth": "distances (depth)",
}
_MASKS = ("mask", "proto", "keypoint")


def refuse_other_tasks(signature: Signature) -> None:
    """Refuse a network that does not detect boxes.

    Raises:
        GraphError: the network has another task.
    """
    task = signature.metadata.get("task")
    if task is not None and task != "detect":
        name = str(task)[:100]
        raise _refusal(signature, _TASKS.get(name, repr(name)), f"its metadata says task: {name}")
    if gives_rows(signature):
        return
    has_task = task is not None
    shapes = ", ".join(map(str, signature.outputs))
    ranks = [len(output.shape) for output in signature.outputs if output.shape is not None]
    if len(ranks) == 1 == len(signature.outputs) and ranks[0] == 2:
        raise _refusal(signature, _TASKS["classify"], f"its output is {shapes}")
    if not has_task and any(word in output.name.lower() for output in signature.outputs for word in _MASKS):
        raise _refusal(signature, "outlines or key points of objects", f"its outputs are {shapes}")
    if not has_task and 3 in ranks and 4 in ranks and len(ranks) == 2:
        raise _refusal(signature, _TASKS["segment"], f"its outputs are {shapes}")
    if ranks and set(ranks) == {4}:
        what = "a map of the picture (segmentation, heat maps of points, or a YOLO cut off before it makes boxes)"
        raise _refusal(signature, what, f"it gives {shapes}")


def _refusal(signature: Signature, what: str, why: str) -> GraphError:
    return GraphError(
        f"{signature.source}: finds {what}, not boxes: {why}; expected a detector: export one that was trained to "
        "detect"
    )
