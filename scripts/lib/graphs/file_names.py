"""The names of a network's files in its folder or data image."""

from pathlib import Path

GRAPHS = ("graph.pb", "graph.onnx", "graph.xml")


def ending(graph: Path) -> str:
    """Return what to say of a file's name whose end is not that of a graph."""
    return f"ends in {graph.suffix!r}" if graph.suffix else "has no ending"


def folder_of(graph: Path) -> str:
    """Return a graph's folder for messages, which begin with it: the current folder by its path, not as `.`."""
    return str(graph.parent if graph.parent.name else graph.absolute().parent)


def missing(place: str, name: str, there: list[str]) -> str:
    """Return the message for a missing file, with the files that exist.

    Args:
        place: the folder, or the image and the folder in it.
        name: name of the missing file.
        there: names of the existing files.
    """
    names = ", ".join(repr(other) for other in there[:20])
    found = f"has no {name}, but {names}" if names else f"is empty: it has no {name}"
    graphs = [other for other in GRAPHS if other in there and other != name]
    if name in GRAPHS and graphs:
        return f"{place} {found}; expected network.graph to name what is there: set it to {graphs[0]}"
    return f"{place} {found}; expected it there: add it, or take another network"
