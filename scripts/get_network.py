"""Get the network's graph and train.ini from a folder or a data image, and record where they came from."""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import docker

from scripts.lib import train_ini
from scripts.lib.data_images import docker_images
from scripts.lib.data_images.members import FOLDER, LARGEST, Members
from scripts.lib.data_images.reference import Image, Reference
from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.files import sha256 as hash_of
from scripts.lib.files import write_json
from scripts.lib.graphs import external
from scripts.lib.graphs.operators import check_frozen_graph, check_onnx
from scripts.lib.signals import stoppable
from scripts.lib.workflow import job

Fetch = Literal["auto", "docker", "registry"]

_log = logging.getLogger(__name__)


def get_network(
    *,
    graph: Path,
    train_ini: Path,
    provenance: Path,
    directory: Path | None = None,
    data_image: str | None = None,
    archive: Path | None = None,
    fetch: Fetch = "auto",
    ca_file: Path | None = None,
    digest: str | None = None,
    sha256: Mapping[str, str] | None = None,
) -> None:
    """Get the network from the one source that is given.

    Nothing is written under its final name before digest and hashes are what is expected and the class names
    can be read.

    Args:
        graph: file to write; its name, `graph.pb` or `graph.onnx`, says which one is taken.
        train_ini: file to write, in the same folder.
        provenance: JSON record to write: source, reference, digest, image id, hash and size of each file.
        directory: folder that holds the files.
        data_image: image that holds them below /network; with `archive`, the one of its images that is meant.
        archive: file that `docker save` or a builder wrote, an OCI layout for example, with the data image.
        fetch: whom to ask for the image: a Docker engine, the registry itself, or the engine if there is one.
        ca_file: certificates, in PEM format, of the authorities that vouch for the registry.
        digest: what the image's digest has to be.
        sha256: what the files' SHA-256 have to be, by file name.

    Raises:
        SettingsError: the settings contradict each other.
        GraphError: the files are not there, or not what is expected.
        ServerError: the engine or the registry does not give them.
    """
    names = (graph.name, train_ini.name)
    if graph.name not in ("graph.pb", "graph.onnx"):
        raise SettingsError(f"network.graph: {graph.name!r}; expected graph.pb or graph.onnx")
    if (directory is None) == (data_image is None and archive is None):
        raise SettingsError(
            "network: expected one source: set network.directory, or network.data_image, or network.archive"
        )
    if directory is not None and digest:
        raise SettingsError("network.digest: a folder has none; expected it with an image: use network.sha256")
    with stoppable(), _beside(graph.parent) as folder:
        reference = Reference.parse(data_image, digest) if data_image is not None else None
        if directory is not None:
            record = _from_directory(directory, names, folder)
        elif archive is not None:
            record = _from_archive(archive, reference, digest, names, folder)
        elif reference is not None:
            record = _from_image(reference, names, folder, fetch, ca_file)
        weights = external.sibling_of(folder / graph.name)
        found = {
            name: {"sha256": hash_of(folder / name), "size": (folder / name).stat().st_size}
            for name in (*names, *sorted(weights))
        }
        _check(found, sha256 or {}, record["reference"])
        _check_operators(folder / graph.name, record["reference"])
        if graph.suffix == ".onnx":
            external.take_in(folder / graph.name, folder, folder / graph.name, f"{record['reference']}: {graph.name}")
        classes = _classes(folder / train_ini.name, f"{record['reference']}: {train_ini.name}")
        for path in (graph, train_ini):
            (folder / path.name).replace(path)
        write_json(provenance, {**record, "files": found})
    _log.info("%s: %s, %d classes: %s", record["reference"], graph.name, len(classes), ", ".join(classes))


@contextmanager
def _beside(parent: Path) -> Iterator[Path]:
    """Give an empty folder on the same disk, which is removed in the end; a cut run's is emptied first."""
    folder = parent / ".get_network.part"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _from_directory(directory: Path, names: tuple[str, ...], folder: Path) -> dict[str, Any]:
    if not directory.is_dir():
        raise GraphError(
            f"network.directory: {directory.absolute()} is not a folder; expected one with {' and '.join(names)}"
        )
    for name in names:
        path = directory / name
        if not path.is_file():
            there = sorted(entry.name for entry in directory.iterdir())
            raise GraphError(_absent(f"network.directory {directory.absolute()}", name, there))
        size = path.stat().st_size
        if not 0 < size <= LARGEST[name]:
            raise GraphError(f"{path}: has {size} bytes; expected 1 to {LARGEST[name]}: put the right file there")
        _copy(path, folder / name)
    if "graph.onnx" in names:
        _copy_weights(directory, folder)
    return {"source": "directory", "reference": str(directory), "fetched_by": None, "digest": None, "image_id": None}


def _copy_weights(directory: Path, folder: Path) -> None:
    """Copy the files that hold the graph's weights; which are not there, or elsewhere, is said when they are taken."""
    for name in external.files_of(folder / "graph.onnx"):
        plain = Path(name).name
        path = directory / plain
        if plain == name.removeprefix("./") and plain and path.is_file() and not (folder / plain).exists():
            _copy(path, folder / plain)


def _copy(path: Path, copy: Path) -> None:
    with path.open("rb") as stream, copy.open("xb") as target:
        shutil.copyfileobj(stream, target, 2**20)
        target.flush()
        os.fsync(target.fileno())


def _from_archive(
    archive: Path, reference: Reference | None, digest: str | None, names: tuple[str, ...], folder: Path
) -> dict[str, Any]:
    from scripts.lib.data_images import oci
    from scripts.lib.data_images.archive import ImageArchive

    members = Members(folder, _wanted(names))
    image, layers = ImageArchive(archive, folder).resolve(reference, digest)
    oci.apply(layers, members, str(archive))
    _expect(names, members, str(archive))
    return _record("archive", f"{archive}: {reference}" if reference else str(archive), None, image)


def _from_image(
    reference: Reference, names: tuple[str, ...], folder: Path, fetch: Fetch, ca_file: Path | None
) -> dict[str, Any]:
    members = Members(folder, _wanted(names))
    with ExitStack() as stack:
        client = _engine(stack, fetch)
        if client is not None:
            image = docker_images.image(client, reference)
            with docker_images.archive(client, image, f"/{FOLDER}", reference) as pieces:
                members.add(pieces, f"{reference}: /{FOLDER}")
        else:
            from scripts.lib.data_images import oci
            from scripts.lib.data_images.registry import Registry

            store = stack.enter_context(Registry(reference, ca_file=ca_file))
            image, layers = oci.resolve(store, reference.digest or reference.tag, str(reference))
            oci.apply(layers, members, str(reference))
    _expect(names, members, str(reference))
    return _record("data_image", str(reference), "docker" if client is not None else "registry", image)


def _wanted(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names to take from an image: also those of weights beside an ONNX graph."""
    return (*names, *external.NAMES) if "graph.onnx" in names else names


def _engine(stack: ExitStack, fetch: Fetch) -> docker.DockerClient | None:
    if fetch == "registry":
        return None
    try:
        return stack.enter_context(docker_images.engine())
    except docker_images.NoEngine as reason:
        if fetch == "docker":
            raise
        _log.info("the registry itself is asked, as network.fetch is auto: %s", reason)
        return None


def _expect(names: tuple[str, ...], members: Members, source: str) -> None:
    for name in names:
        if name in members.odd:
            raise GraphError(
                f"{source}: /{FOLDER}/{name} is {members.odd[name]}; expected a regular file: copy the file itself "
                "into the data image"
            )
        if name not in members.found:
            raise GraphError(_absent(f"{source}: /{FOLDER}", name, [*members.found, *sorted(members.others)]))


def _record(source: str, reference: str, fetched_by: str | None, image: Image) -> dict[str, Any]:
    return {
        "source": source,
        "reference": reference,
        "fetched_by": fetched_by,
        "digest": image.digest,
        "image_id": image.image_id,
    }


def _absent(place: str, name: str, there: list[str]) -> str:
    holds = ", ".join(repr(other) for other in there[:20]) or "nothing"
    graphs = [other for other in ("graph.pb", "graph.onnx") if other in there and other != name]
    if name != "train.ini" and graphs:
        return (
            f"{place} has no {name}, but {holds}; expected network.graph to name what is there: set it to {graphs[0]}"
        )
    return f"{place} has no {name}, but {holds}; expected it there: add it, or take another network"


def _check(found: Mapping[str, Mapping[str, Any]], expected: Mapping[str, str], reference: str) -> None:
    for name, wanted in expected.items():
        if name not in LARGEST:
            raise SettingsError(f"network.sha256: {name!r}; expected {', '.join(LARGEST)}")
        if name in found and found[name]["sha256"] != wanted.lower():
            raise GraphError(
                f"{reference}: {name} has SHA-256 {found[name]['sha256']}; expected {wanted} (network.sha256): "
                "the network has changed; take the right one, or write its hash down"
            )


def _check_operators(path: Path, reference: str) -> None:
    """Refuse a graph that does more than compute before any job loads it or any media is downloaded."""
    check = check_frozen_graph if path.suffix == ".pb" else check_onnx
    check(path.read_bytes(), f"{reference}: {path.name}")


def _classes(path: Path, source: str) -> list[str]:
    return train_ini.names(path.read_bytes(), source)


if __name__ == "__main__":
    job.run(get_network, snakemake)  # type: ignore[name-defined]
