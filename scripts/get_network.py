"""Get the network's graph and class names from a folder or a data image, and record its properties and source."""

import logging
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scripts.lib.boxes import Size
from scripts.lib.data_images import labels
from scripts.lib.data_images.members import FOLDER, LARGEST, OPTIONAL, Members
from scripts.lib.data_images.reference import Image, Reference
from scripts.lib.errors import GraphError, SettingsError
from scripts.lib.files import sha256 as hash_of
from scripts.lib.graphs import class_names, external
from scripts.lib.graphs import train_ini as train
from scripts.lib.graphs.file_names import GRAPHS, missing
from scripts.lib.graphs.found_network import NetworkSettings, StatedSize, inspect_graph
from scripts.lib.graphs.input_size import input_size
from scripts.lib.graphs.openvino_file import check_openvino_file
from scripts.lib.graphs.operators import check_frozen_graph, check_onnx
from scripts.lib.records.network import FetchedBy, NetworkFile, ProvenanceRecord, Source
from scripts.lib.records.record_files import write_record
from scripts.lib.workflow.jobs import job
from scripts.lib.workflow.processes.signals import stoppable

if TYPE_CHECKING:  # a network in a folder needs no Docker, whose client takes a while to import
    import docker

Fetch = Literal["auto", "docker", "registry"]
WEIGHTS = "graph.bin"
TRAIN_INI = class_names.TRAIN_INI

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
    weights: Path | None = None,
    family: str = "auto",
    description: Mapping[str, Any] | None = None,
    pixels: str | None = None,
    first_label: int | None = None,
    img_max_side: int | None = None,
    img_min_side: int | None = None,
) -> None:
    """Get the network from its source: a folder, a data image or an archive.

    No file gets its final name before digest and hashes are checked, the class names are read, and the network's input
    and outputs are known.

    Args:
        graph: file to write; its name, one of GRAPHS, selects the graph.
        train_ini: file to write, in the same folder; if there is none it is made from the names in the graph or in a
            file next to it.
        provenance: JSON record to write: source, reference, digest, image id, hash and size of each file, and the
            description of the network if its family has one.
        directory: folder that contains the files.
        data_image: image that contains them in /network; with `archive`, selects one of its images.
        archive: file that `docker save` or a builder wrote, an OCI layout for example, with the data image.
        fetch: where to get the image: from a Docker engine, the registry itself, or the engine if there is one.
        ca_file: certificates, in PEM format, of the registry's authorities.
        digest: the expected digest of the image.
        sha256: the expected SHA-256 of the files, by file name.
        weights: file to write, in the same folder, with `graph.xml`: its weights.
        family: the network's family, see families.NAMES.
        description: the description of a network of no known family.
        pixels: the pixels of a network whose outputs are rows.
        first_label: the label of the first class.
        img_max_side: width of the network's input in pixels; None for the size in its file.
        img_min_side: height of the network's input in pixels; None for the size in its file.

    Raises:
        SettingsError: the settings contradict each other.
        GraphError: the files are missing or not as expected.
        ServerError: the engine or the registry fails.
    """
    names = (graph.name, WEIGHTS) if graph.suffix == ".xml" else (graph.name,)
    asked = NetworkSettings(family, description, pixels, first_label, img_max_side, img_min_side)
    if graph.name not in GRAPHS:
        raise SettingsError(f"network.graph: {graph.name!r}; expected {' or '.join(GRAPHS)}")
    if (directory is None) == (data_image is None and archive is None):
        raise SettingsError(
            "network: expected one source: set network.directory, or network.data_image, or network.archive"
        )
    if directory is not None and digest:
        raise SettingsError("network.digest: a folder has none; expected it with an image: use network.sha256")
    with stoppable(), _scratch_folder(graph.parent) as folder:
        reference = Reference.parse(data_image, digest) if data_image is not None else None
        labelled = None
        if directory is not None:
            origin = _from_directory(directory, names, folder)
        elif archive is not None:
            origin, labelled = _from_archive(archive, reference, digest, names, folder)
        elif reference is not None:
            origin, labelled = _from_image(reference, names, folder, fetch, ca_file)
        origin = _named_by_setting(origin, data_image, archive)
        siblings = external.weight_files_in_folder(folder / graph.name)
        optional = [name for name in (TRAIN_INI, *OPTIONAL) if (folder / name).is_file()]
        found = {
            name: NetworkFile(sha256=hash_of(folder / name), size=(folder / name).stat().st_size)
            for name in (*names, *optional, *sorted(siblings))
        }
        _check(found, sha256 or {}, origin.reference)
        _check_operators(folder / graph.name, origin.reference)
        if graph.suffix == ".onnx":
            whole = folder / graph.name
            external.write_with_weights(whole, folder, whole, f"{origin.reference}: {graph.name}")
        stated = _stated_size(labelled, folder / TRAIN_INI)
        network = inspect_graph(folder / graph.name, asked, origin.reference, stated=stated)
        if network.description is None:
            own = network.size or (stated.size if stated else None)
            input_size((img_max_side, img_min_side), None, network.signature.source, own)
        if (warning := network.warning(asked, stated)) is not None:
            _log.warning("%s", warning)
            job.tell_user(f"{origin.reference}: {graph.name}: {warning}")
        classes = network.names.names
        if TRAIN_INI not in optional:
            content = class_names.to_train_ini(classes, network.names.source)
            (folder / TRAIN_INI).write_text(content, encoding="utf-8")
        (folder / TRAIN_INI).replace(train_ini)
        for path in (graph, weights) if weights else (graph,):
            (folder / path.name).replace(path)
        description_found = network.description.to_values() if network.description else None
        size = list(stated.size) if stated else None
        write_record(provenance, replace(origin, files=found, size=size, description=description_found))
    _log.info("%s: %s, %d classes: %s", origin.reference, graph.name, len(classes), ", ".join(classes))


def _stated_size(labelled: Size | None, ini: Path) -> StatedSize | None:
    """Return the size that the network was trained at, from a label or from OpenEM's train.ini."""
    if labelled is not None:
        return StatedSize(labelled, "data image's label")
    trained = train.size(ini)
    return StatedSize(trained, f"section [Detect] of {TRAIN_INI}") if trained is not None else None


@contextmanager
def _scratch_folder(parent: Path) -> Iterator[Path]:
    """Create an empty folder on the same disk, and remove it at the end; replace the folder of a killed run."""
    folder = parent / ".get_network.part"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _from_directory(directory: Path, names: tuple[str, ...], folder: Path) -> ProvenanceRecord:
    if not directory.is_dir():
        raise GraphError(
            f"network.directory: {directory.absolute()} is not a folder; expected one with {' and '.join(names)}"
        )
    for name in names:
        path = directory / name
        if not path.is_file():
            there = sorted(entry.name for entry in directory.iterdir())
            raise GraphError(missing(f"network.directory {directory.absolute()}", name, there))
        _check_length(path)
        _copy(path, folder / name)
    for name in (TRAIN_INI, *OPTIONAL):
        if (path := directory / name).is_file():
            _check_length(path)
            _copy(path, folder / name)
    if "graph.pb" in names and not _names_among([path.name for path in folder.iterdir()]):
        there = sorted(entry.name for entry in directory.iterdir())
        raise GraphError(missing(f"network.directory {directory.absolute()}", TRAIN_INI, there))
    if "graph.onnx" in names:
        _copy_weights(directory, folder)
    return ProvenanceRecord(source="directory", reference=str(directory), digest=None, files={})


def _check_length(path: Path) -> None:
    size = path.stat().st_size
    if not 0 < size <= LARGEST[path.name]:
        raise GraphError(f"{path}: has {size} bytes; expected 1 to {LARGEST[path.name]}: put the right file there")


def _copy_weights(directory: Path, folder: Path) -> None:
    """Copy the files that hold the graph's weights; a missing one is reported when the weights are read."""
    for name in external.weight_files(folder / "graph.onnx", str(directory / "graph.onnx")):
        relative = external.relative_path(name)
        if relative is None or not (path := directory / relative).is_file() or (folder / relative).exists():
            continue
        if path.parent.resolve().is_relative_to(directory.resolve()):
            (folder / relative).parent.mkdir(parents=True, exist_ok=True)
            _copy(path, folder / relative)


def _copy(path: Path, copy: Path) -> None:
    with path.open("rb") as stream, copy.open("xb") as target:
        shutil.copyfileobj(stream, target, 2**20)
        target.flush()
        os.fsync(target.fileno())


def _from_archive(
    archive: Path, reference: Reference | None, digest: str | None, names: tuple[str, ...], folder: Path
) -> tuple[ProvenanceRecord, Size | None]:
    from scripts.lib.data_images import oci
    from scripts.lib.data_images.archive import ImageArchive

    members = Members(folder, _wanted(names), OPTIONAL)
    image, layers = ImageArchive(archive, folder).resolve(reference, digest)
    oci.apply(layers, members, str(archive))
    _expect(names, members, str(archive))
    name = f"{archive}: {reference}" if reference else str(archive)
    return _provenance("archive", name, None, image), labels.size(image.labels)


def _from_image(
    reference: Reference, names: tuple[str, ...], folder: Path, fetch: Fetch, ca_file: Path | None
) -> tuple[ProvenanceRecord, Size | None]:
    members = Members(folder, _wanted(names), OPTIONAL)
    with ExitStack() as stack:
        client = _engine(stack, fetch)
        if client is not None:
            from scripts.lib.data_images import docker_images

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
    fetched_by: FetchedBy = "docker" if client is not None else "registry"
    return _provenance("data_image", str(reference), fetched_by, image), labels.size(image.labels)


def _wanted(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the files to extract from an image, including the weights of an ONNX graph."""
    return (*names, TRAIN_INI, *(external.NAMES if "graph.onnx" in names else ()))


def _engine(stack: ExitStack, fetch: Fetch) -> "docker.DockerClient | None":
    if fetch == "registry":
        return None
    from scripts.lib.data_images import docker_images

    try:
        return stack.enter_context(docker_images.engine())
    except docker_images.NoEngine as reason:
        if fetch == "docker":
            raise
        _log.info("the registry itself is asked, as network.fetch is auto: %s", reason)
        return None


def _names_among(files: Collection[str]) -> bool:
    """Return whether one of these files may name the classes; a frozen graph does not."""
    return any(name in files for name in (TRAIN_INI, *OPTIONAL))


def _expect(names: tuple[str, ...], members: Members, source: str) -> None:
    if "graph.pb" in names and not _names_among(members.found):
        names = (*names, TRAIN_INI)
    for name in (*names, *(odd for odd in (TRAIN_INI, *OPTIONAL) if odd in members.not_files)):
        if name in members.not_files:
            raise GraphError(
                f"{source}: /{FOLDER}/{name} is {members.not_files[name]}; expected a regular file: copy the file "
                "itself into the data image"
            )
        if name not in members.found:
            raise GraphError(missing(f"{source}: /{FOLDER}", name, [*members.found, *sorted(members.others)]))


def _provenance(source: Source, reference: str, fetched_by: FetchedBy | None, image: Image) -> ProvenanceRecord:
    """Return the record of an image's source; its files are added later."""
    return ProvenanceRecord(
        source=source,
        reference=reference,
        fetched_by=fetched_by,
        digest=image.digest,
        image_id=image.image_id,
        files={},
    )


def _named_by_setting(origin: ProvenanceRecord, data_image: str | None, archive: Path | None) -> ProvenanceRecord:
    """Return the record without network.digest in the image's name; setting it for the same image changes nothing."""
    if data_image is None:
        return origin
    name = str(Reference.parse(data_image))
    return replace(origin, reference=f"{archive}: {name}" if archive else name)


def _check(found: Mapping[str, NetworkFile], expected: Mapping[str, str], reference: str) -> None:
    for name, wanted in expected.items():
        if name not in LARGEST:
            raise SettingsError(f"network.sha256: {name!r}; expected {', '.join(LARGEST)}")
        if name not in found:
            raise GraphError(
                f"{reference}: network.sha256 has a hash of {name}, which is not a file of this network "
                f"({', '.join(found)}): give hashes of these files only"
            )
        if found[name].sha256 != wanted.lower():
            raise GraphError(
                f"{reference}: {name} has SHA-256 {found[name].sha256}; expected {wanted} (network.sha256): "
                "the network has changed; use the right one, or update the hash"
            )


def _check_operators(path: Path, reference: str) -> None:
    """Refuse a graph that does more than compute, before any job loads it or any media is downloaded."""
    check = {".pb": check_frozen_graph, ".onnx": check_onnx, ".xml": check_openvino_file}[path.suffix]
    check(path.read_bytes(), f"{reference}: {path.name}")


if __name__ == "__main__":
    job.run(get_network, snakemake)  # type: ignore[name-defined]
