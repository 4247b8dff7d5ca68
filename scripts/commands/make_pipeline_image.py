"""Make a data image of a network, and publish it.

    python -m scripts.commands.make_pipeline_image --graph-pb trained.pb --train-ini train.ini --publish IMAGE

The last line printed is the value for the setting network.data_image. With --no-daemon and without --publish the image
has no name yet, and the line is the digest only.
"""

import json
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.lib import command_line
from scripts.lib.data_images import docker_images
from scripts.lib.data_images import labels as image_labels
from scripts.lib.data_images.build import DataImage, build, write_archive
from scripts.lib.data_images.members import OPTIONAL
from scripts.lib.data_images.reference import Reference
from scripts.lib.errors import GraphError, ServerError, SettingsError
from scripts.lib.files import naming_full_disk, replacing, sha256
from scripts.lib.graphs import class_names, external
from scripts.lib.graphs import train_ini as train
from scripts.lib.graphs.class_count import check_names
from scripts.lib.graphs.description import Description
from scripts.lib.graphs.families import NAMES
from scripts.lib.graphs.file_names import folder_of
from scripts.lib.graphs.found_network import NetworkSettings, inspect_graph, read_description
from scripts.lib.graphs.operators import check_operators
from scripts.lib.network_access.token import redact
from scripts.lib.workflow.processes import deadline
from scripts.lib.workflow.processes.signals import stoppable

# To read the number of classes the graph gets an input of some size; any will do.
SOME_SIDE = 256


def make_pipeline_image(
    *,
    image: str,
    graph_pb: Path | None = None,
    graph_onnx: Path | None = None,
    graph_xml: Path | None = None,
    train_ini_file: Path | None = None,
    publish: bool = False,
    daemon: bool = True,
    output: Path | None = None,
    ca_file: Path | None = None,
    size: tuple[int, int] | None = None,
    family: str = "auto",
    first_label: int | None = None,
    description: Mapping[str, Any] | None = None,
) -> str:
    """Check a network, make its data image, and return the value for network.data_image.

    Args:
        image: the name to give it, `[HOST/]NAME[:TAG]`.
        graph_pb: a frozen TensorFlow graph.
        graph_onnx: an ONNX graph.
        graph_xml: OpenVINO's own, with its weights next to it, under the same name with `.bin`.
        train_ini_file: the class names; by default `train.ini` next to the graph, or another file there or metadata of
            the graph that names them.
        publish: push it to its registry.
        daemon: load it into a Docker engine, which then pushes it; otherwise this function pushes it itself.
        output: also write it into this file, for `network.archive` or `docker load`.
        ca_file: certificates of the registry's authorities; only without a Docker engine.
        size: width and height that the network was trained at, for a label; by default those of OpenEM's train.ini.
        family: what the network is, as network.family.
        first_label: the label of the first class, as network.first_label.
        description: of a network of the family `described`, as network.description.

    Raises:
        SettingsError: the arguments contradict each other.
        GraphError: the graph's layout is not known, or train.ini does not fit it.
        ServerError: the engine or the registry fails.
    """
    reference = Reference.parse(image)
    if reference.digest:
        raise SettingsError(f"{image}: expected a name without a digest, which is known only when the image is made")
    given = (("graph.pb", graph_pb), ("graph.onnx", graph_onnx), ("graph.xml", graph_xml))
    graphs = {name: path for name, path in given if path is not None}
    if not graphs:
        raise SettingsError("no graph is given; expected --graph-pb FILE, --graph-onnx FILE or --graph-xml FILE")
    if not daemon and not publish and output is None:
        raise SettingsError("--no-daemon: the image would be lost; expected --publish or --output FILE")
    files = {**graphs, **_sibling_files(next(iter(graphs.values())), train_ini_file)}
    if graph_xml is not None:
        files["graph.bin"] = graph_xml.with_suffix(".bin")
    _require(files.values())
    asked = NetworkSettings(family, description, None, first_label, *(size or (None, None)))
    command_line.refuse_to_replace(files.values(), output, "--output")
    with (
        stoppable(),
        tempfile.TemporaryDirectory(prefix="make_pipeline_image-") as folder,
        naming_full_disk(Path(folder)),
    ):
        if graph_onnx is not None:
            whole = Path(folder, "graph.onnx")
            if external.write_with_weights(graph_onnx, graph_onnx.parent, whole, str(graph_onnx)):
                files["graph.onnx"] = whole
        for name, original in graphs.items():
            classes, found = _looked_at(files, name, original, asked)
        labels = _labels(files, classes, size or _trained_size(files), found)
        if graph_pb is not None and not image_labels.size(labels):
            _say(f"{graph_pb}: no size is known; with --img-max-side and --img-min-side a run takes it from the image")
        made = build(files, labels, Path(folder))
        for name, path in files.items():
            _say(f"{name}: SHA-256 {sha256(path)}")
        if output is not None:
            with replacing(output, "wb") as stream:
                write_archive(made, reference, Path(stream.name))
            _say(f"{output}: written")
        if daemon:
            return _with_engine(made, reference, Path(folder), publish=publish)
        return _without_engine(made, reference, ca_file) if publish else made.digest


def _require(files: Iterable[Path]) -> None:
    for path in files:
        if not path.is_file():
            raise GraphError(f"{path}: is not a file; expected the network's file there")


def _sibling_files(graph: Path, train_ini_file: Path | None) -> dict[str, Path]:
    """Return the files with names and settings next to a graph; train.ini if neither another file nor the graph may.

    Raises:
        GraphError: the given train.ini cannot be read; later it has another name.
    """
    if train_ini_file is not None:
        train.species(train_ini_file)
    found = {name: graph.with_name(name) for name in OPTIONAL if graph.with_name(name).is_file()}
    ini = train_ini_file or graph.with_name(class_names.TRAIN_INI)
    if train_ini_file or ini.is_file() or (not found and graph.suffix == ".pb"):
        found[class_names.TRAIN_INI] = ini
    return found


def _looked_at(
    files: dict[str, Path], name: str, original: Path, asked: NetworkSettings
) -> tuple[tuple[str, ...], Description | None]:
    """Return a graph's class names and its description, as get_network will find them in the image."""
    with tempfile.TemporaryDirectory(prefix="make_pipeline_image-") as folder:
        for other, path in files.items():
            if other in OPTIONAL or other == class_names.TRAIN_INI:
                Path(folder, other).write_bytes(path.read_bytes())
        # What is given may have any name.
        graph = Path(folder, name)
        graph.symlink_to(files[name].absolute())
        check_operators(graph, str(original))
        found = inspect_graph(graph, asked, folder_of(original), needs_size=False)
    if found.description is None:
        _check(files[name], found.names.names, files.get(class_names.TRAIN_INI, original), asked.size)
    else:
        listed = ", ".join(found.names.names)
        _say(f"{original}: family {found.description.family}; {len(found.names.names)} classes: {listed}")
    return found.names.names, found.description


def _check(graph: Path, classes: Sequence[str], ini: Path, size: tuple[int, int] | None) -> None:
    from scripts.lib.boxes import Size
    from scripts.lib.engines.base import check_outputs
    from scripts.lib.engines.openvino.graph import cut, read_graph, read_nms

    with deadline.watched(str(graph), "being read by OpenVINO"):
        model, layout = read_graph(graph)
    if layout.labels is not None:  # rows do not tell how many classes there are
        _say(f"{graph}: layout {layout.name}; {len(classes)} classes in {ini}: {', '.join(classes)}")
        return
    batch, height, width = _shape(model.inputs[0].get_partial_shape())
    part = cut(model, layout, str(graph), batch, Size(*size) if size else Size(width, height))
    boxes, scores = (tuple(output.get_shape()) for output in part.outputs)
    count = check_outputs(boxes, scores, batch, str(graph))
    read_nms(model, layout, count, str(graph))
    check_names(count, classes, str(graph), str(ini))
    _say(f"{graph}: layout {layout.name}, {count} classes: {', '.join(classes)}")


def _shape(shape: Any) -> list[int]:
    """Return the batch size, height and width that a graph's input takes; examples where it takes any."""
    some = [1, SOME_SIDE, SOME_SIDE]
    if shape.rank.is_dynamic or len(shape) <= len(some):
        return some
    return [shape[at].get_length() if shape[at].is_static else any_size for at, any_size in enumerate(some)]


def _trained_size(files: dict[str, Path]) -> tuple[int, int] | None:
    """Return the size that the network was trained at, from train.ini; None if it has none."""
    ini = files.get(class_names.TRAIN_INI)
    return train.size(ini) if ini is not None else None


def _labels(
    files: dict[str, Path], classes: Sequence[str], size: tuple[int, int] | None, description: Description | None
) -> dict[str, str]:
    what = description.family if description else "RetinaNet"
    labels = {
        "org.opencontainers.image.title": "Detection network",
        "org.opencontainers.image.description": f"{what} for {', '.join(classes)}",
        f"{image_labels.PREFIX}.classes": json.dumps(list(classes), ensure_ascii=False),
        **{f"{image_labels.PREFIX}.sha256.{name}": sha256(path) for name, path in files.items()},
    }
    if description is not None:
        labels[f"{image_labels.PREFIX}.family"] = description.family
        labels[f"{image_labels.PREFIX}.network"] = json.dumps(description.to_values(), ensure_ascii=False)
        size = size or description.size
    if size:
        labels |= image_labels.of_size(size)
    return labels


def _with_engine(made: DataImage, reference: Reference, folder: Path, *, publish: bool) -> str:
    archive = folder / "image.tar"
    write_archive(made, reference, archive)
    with docker_images.engine("or add --no-daemon, with which this command needs none") as client:
        docker_images.load(client, archive, reference, made.image_id)
        _say(f"{reference.tagged}: {made.image_id} is in the Docker engine")
        return reference.at(docker_images.push(client, reference)) if publish else reference.tagged


def _without_engine(made: DataImage, reference: Reference, ca_file: Path | None) -> str:
    from scripts.lib.data_images.oci import digest_of
    from scripts.lib.data_images.registry import Registry

    with Registry(reference, ca_file=ca_file, ca_setting="--ca-file") as registry:
        registry.push_blob(made.layer, made.layer_digest)
        config = made.layer.with_name("config.json")
        config.write_bytes(made.config)
        registry.push_blob(config, made.image_id)
        registry.push_manifest(reference.tag, made.manifest.decode())
        found = registry.digest(reference.tag) or digest_of(registry.manifest(reference.tag))
    if found != made.digest:
        raise ServerError(f"{reference}: the registry now has {found}; expected {made.digest}: publish it again")
    return reference.at(made.digest)


def _say(line: str) -> None:
    """Write a line to standard error; standard output gets only the image's name."""
    sys.stderr.write(f"{redact(line)}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line; return 0, or 1 when no image was made or published."""
    parser = command_line.Parser(
        prog="python -m scripts.commands.make_pipeline_image",
        description="Make a data image of a network, and publish it.",
    )
    parser.add_argument("image", metavar="IMAGE", help="its name, [HOST/]NAME[:TAG]")
    parser.add_argument("--graph-pb", type=command_line.path, metavar="FILE", help="frozen TensorFlow graph")
    parser.add_argument("--graph-onnx", type=command_line.path, metavar="FILE", help="ONNX graph")
    parser.add_argument(
        "--graph-xml", type=command_line.path, metavar="FILE", help="OpenVINO's graph, with its .bin next to it"
    )
    parser.add_argument(
        "--train-ini", type=command_line.path, metavar="FILE", help="class names (default: next to the graph)"
    )
    parser.add_argument("--family", choices=NAMES, default="auto", help="as network.family")
    parser.add_argument(
        "--description", type=command_line.path, metavar="FILE", help="as network.description, in a YAML file"
    )
    parser.add_argument("--first-label", type=int, choices=(0, 1), help="as network.first_label")
    parser.add_argument("--publish", action="store_true", help="push the image to its registry")
    parser.add_argument("--no-daemon", action="store_true", help="use no Docker engine")
    parser.add_argument(
        "--output", type=command_line.output_file, metavar="FILE", help="also write the image into a file"
    )
    parser.add_argument(
        "--ca-file", type=command_line.path, metavar="FILE", help="certificates to trust, with --no-daemon"
    )
    parser.add_argument(
        "--img-max-side", type=command_line.side, metavar="N", help="width of the network's input, for a label"
    )
    parser.add_argument(
        "--img-min-side", type=command_line.side, metavar="N", help="height of the network's input, for a label"
    )
    given = parser.parse_args(arguments)
    if (given.img_max_side is None) != (given.img_min_side is None):
        parser.error("expected both --img-max-side and --img-min-side, or none")

    def make() -> None:
        name = make_pipeline_image(
            image=given.image,
            graph_pb=given.graph_pb,
            graph_onnx=given.graph_onnx,
            graph_xml=given.graph_xml,
            train_ini_file=given.train_ini,
            publish=given.publish,
            daemon=not given.no_daemon,
            output=given.output,
            ca_file=given.ca_file,
            family=given.family,
            first_label=given.first_label,
            description=None if given.description is None else read_description(given.description),
            size=(given.img_max_side, given.img_min_side) if given.img_max_side is not None else None,
        )
        sys.stdout.write(f"{name}\n")

    return command_line.run(make)


if __name__ == "__main__":
    sys.exit(main())
