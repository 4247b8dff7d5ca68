"""What the other files need: the settings, wildcard constraints, and the few functions of the rules."""

import time
from functools import cache
from pathlib import Path

import yaml

from scripts.lib import token
from scripts.lib.data_images import tags
from scripts.lib.data_images.members import OPTIONAL
from scripts.lib.detection import calibration
from scripts.lib.engines.table import ENGINES
from scripts.lib.errors import STORE_VARIABLE
from scripts.lib.files import check_writable, read_json
from scripts.lib.graphs import external
from scripts.lib.server import outages
from scripts.lib.uploads import version_check
from scripts.lib.workflow import (
    batches,
    code_hash,
    dates,
    engine_choice,
    failures,
    local_files,
    network_settings,
    settings,
)


wildcard_constraints:
    media_id=r"\d+",
    part=r"\d+",


def read_settings():
    """Return the checked settings; raises SettingsError with one line a problem."""
    schema = Path(workflow.basedir, "config", "config.schema.yaml").read_text(
        encoding="utf-8"
    )
    found = settings.resolve(config, os.environ, yaml.safe_load(schema))
    settings.hand_on(found, os.environ)
    if not network_settings.may_use_gpu(found):
        found["detect"]["engine"] = "openvino"
    choose_engine(found["detect"])
    store = workflow.storage_settings.default_storage_provider
    if found["detect"]["split_seconds"] and store:
        raise settings.SettingsError(
            f"detect.split_seconds: files go through a store ({store}); expected a file system that all jobs see, "
            "as with profiles/kubernetes: unset it, or take another profile"
        )
    return found


def choose_engine(detect):
    """Settle what `auto` stands for, once: the jobs, which read this file again, get it from the environment."""
    chosen = engine_choice.choose(detect["engine"], detect["precision"], os.environ)
    if detect["engine"] == "auto":
        os.environ[engine_choice.ENGINE_VARIABLE] = chosen.engine
        os.environ[engine_choice.REASON_VARIABLE] = chosen.reason
    detect["engine"], detect["precision"] = chosen.engine, chosen.precision


def onnx_graph():
    """Return the network as ONNX: the one that came, or the one that convert_network makes."""
    if config["network"]["graph"] == "graph.onnx":
        return "resources/network/graph.onnx"
    return "resources/network/converted/graph.onnx"


def engine():
    """Return the engine's entry in the table of engines."""
    return ENGINES[config["detect"]["engine"]]


def detect_graph():
    """Return the graph that detect reads."""
    if config["detect"]["precision"] == "int8":
        return "resources/network/int8/graph.xml"
    graph = f"resources/network/{config['network']['graph']}"
    return graph if Path(graph).suffix in engine().suffixes else onnx_graph()


def beside_graph():
    """Return what detect needs besides the graph: the record of an engine that is built, or OpenVINO's weights."""
    return [
        *(["resources/network/engine.json"] if engine().is_built else []),
        *weights_of_graph().values(),
    ]


def weights_of_graph():
    """Return the file of the weights of OpenVINO's own graph, by name; none for others, which hold them."""
    is_openvino = config["network"]["graph"] == "graph.xml"
    return {"weights": "resources/network/graph.bin"} if is_openvino else {}


def asked_of_network():
    """Return what the settings say of the network itself: scripts/lib/graphs/found_network.py."""
    network, detect = config["network"], config["detect"]
    return {
        **{
            key: network[key]
            for key in ("family", "description", "pixels", "first_label")
        },
        **{key: detect[key] for key in ("img_max_side", "img_min_side")},
    }


def detect_environment():
    """Return the conda environment of what runs the network."""
    return f"../envs/{engine().environment}.yaml"


def search():
    """Return what is asked of a job that detects: DetectOptions in scripts/lib/detection/options.py, less its threads."""
    network, detect = config["network"], config["detect"]
    asked = ("img_max_side", "img_min_side", "keep_threshold", "batch_size")
    frames = ("frame_stride", "frame_range", "max_frames")
    return {
        **{key: detect[key] for key in (*asked, *frames, "engine", "precision")},
        **{key: network[key] for key in ("nms", "pixels", "first_label")},
        "engines": "resources/network/engines",
    }


def variables_in_use():
    """Return the names of those variables that this run's environment sets."""
    return [name for name in settings.VARIABLES if name in os.environ]


def work_dir():
    """Return the folder that TATOR_WORK_DIR names, None without it."""
    return os.environ.get(settings.WORK_DIR_VARIABLE)


def require_token():
    """Refuse to run, but not to plan, without a token."""
    token.check_token(os.environ)


@cache
def code(script):
    """Return a hash of a script's own modules: Snakemake itself notices only the script's file."""
    return code_hash.sources_hash(Path(workflow.basedir), script)


def forget_failed_media():
    """Have the media that failed in a run before, which was killed, tried again; not while another run is at work."""
    if by_storage():
        os.environ[STORE_VARIABLE] = "1"
    # While the files of the workflow are read, Snakemake has not yet chosen how jobs run.
    runs = workflow.is_main_process and not workflow.output_settings.dryrun
    if runs and not failures.is_locked(Path()):
        failures.forget(Path())


def correct_dates():
    """Date files of this run anew that are dated in the future, and say so; not while another run is at work."""
    runs = workflow.is_main_process and not workflow.output_settings.dryrun
    if runs and not failures.is_locked(Path()):
        now = time.time_ns()
        said = (
            None if by_storage() else dates.correct_run_files(Path(), now),
            dates.warn_of_scripts(Path(workflow.basedir), now),
        )
        for sentence in filter(None, said):
            logger.warning(sentence)


def evaluated():
    """Say whether the settings name true boxes."""
    return any(config["evaluate"][key] for key in ("truth_version", "truth_file"))


def of(media_ids, pattern):
    """Return the pattern's file for each of these media."""
    return [pattern.format(media_id=media_id) for media_id in media_ids]


def every(pattern):
    """Return the pattern's file for each media, in the order asked for."""
    return of(config["tator"]["media_ids"], pattern)


def all_of(pattern):
    """Return an input function that gives `every(pattern)`: a list would be held by the rule and by its job."""

    def files(wildcards):
        return every(pattern)

    return files


def gathered(*names):
    """Return these files of all media for `input:`, by name.

    Of media that share jobs and a disk, the jobs' files of hashes stand for them: an input costs Snakemake a
    kilobyte and a tenth of a millisecond. `all` takes the files themselves, so that one which is gone is made again.
    """
    if not hashes_suffice():
        return {name: all_of(batches.OF_EACH_MEDIA[name][0]) for name in names}
    made_by = dict.fromkeys(batches.OF_EACH_MEDIA[name][1] for name in names)
    return {
        "batches": [
            f"resources/batches/{made}_{media_ids[0]}.json"
            for made in made_by
            for media_ids in shared_jobs()
        ]
    }


def gathered_by_hashes(*names):
    """Return these files of all media for `params:`, by name, where `gathered` has left them out."""
    return (
        {name: all_of(batches.OF_EACH_MEDIA[name][0]) for name in names}
        if hashes_suffice()
        else {}
    )


def each_file():
    """Return an input function that gives each file of all media, so that one that is gone is made again."""

    def files(wildcards):
        patterns = [pattern for pattern, _ in batches.OF_EACH_MEDIA.values()]
        return [path for pattern in patterns for path in every(pattern)]

    return [] if by_storage() else files


def sibling_of(named, pattern):
    """Return a function for `params:` that gives the pattern's file for each media whose file is in an output.

    What follows from the output is not kept with each output's metadata, as a list would be.
    """

    def files(wildcards, output):
        return of([Path(path).stem for path in output[named]], pattern)

    return files


def by_storage():
    """Say whether files go from job to job through a storage, which brings a job its inputs and nothing else."""
    return workflow.storage_settings.default_storage_provider is not None


def hashes_suffice():
    """Say whether a job is told which files to read, and takes only their hashes as its input."""
    return bool(shared_jobs()) and not by_storage()


def as_inputs(media_ids, **patterns):
    """Return the patterns' files for `input:`, by name, where jobs share no disk."""
    return (
        {name: of(media_ids, pattern) for name, pattern in patterns.items()}
        if by_storage()
        else {}
    )


def as_params(named, **patterns):
    """Return the patterns' files for `params:`, by name, where jobs share a disk; see `sibling_of`."""
    return (
        {}
        if by_storage()
        else {name: sibling_of(named, pattern) for name, pattern in patterns.items()}
    )


@cache
def shared_jobs():
    """Return the media that share a job, for each such job; none where each media has its own."""
    media_ids = config["tator"]["media_ids"]
    most = batches.media_per_job(config["media"]["per_job"], len(media_ids))
    return batches.batches(media_ids, most) if most > 1 else []


def part_count(wildcards):
    """Return in how many parts a media is detected in, which is known once it has been looked at in Tator."""
    checkpoints.resolve_media.get()
    record = read_json(Path(f"resources/records/{wildcards.media_id}.json"))
    return batches.part_count(record, config["detect"]["split_seconds"])


def part_number(wildcards):
    """Return the number of a job's part."""
    return int(wildcards.part)


def of_parts(pattern):
    """Return a function for the pattern's file for each part of a media; none for a media of one part."""

    def files(wildcards):
        count = part_count(wildcards)
        found = [
            pattern.format(media_id=wildcards.media_id, part=part)
            for part in range(count)
        ]
        return list(dict.fromkeys(found)) if count > 1 else []

    return files


def set_as_for(other, one):
    """Give the rule `other` the threads and resources that a profile or the command line sets for the rule `one`."""
    given, settings = workflow.get_rule(other).resources, workflow.resource_settings
    if one in settings.overwrite_threads and other not in settings.overwrite_threads:
        given["_cores"] = settings.overwrite_threads[one]
    for name in (one, other):
        given.update(settings.overwrite_resources.get(name, {}))


def unless_kept(path):
    """Flag a downloaded file as temporary, unless the user keeps files."""
    return path if config["media"]["keep_files"] else temp(path)


def kept_by_shared_jobs():
    """Whether jobs that media share keep the downloaded files; for crops, download_media brings them once more."""
    return config["media"]["keep_files"] and not config["export"]["crops"]


def media_of_shared_jobs():
    """Return where the jobs that media share download to: not where download_media does, if they remove it again."""
    return (
        "resources/media/{media_id}"
        if kept_by_shared_jobs()
        else "resources/media_of_jobs/{media_id}"
    )


def if_asked(asked, *paths):
    """Return the paths of what a setting asks for, none without it."""
    return list(paths) if asked else []


def truth_file():
    """Return the file of true boxes that the settings name."""
    return if_asked(config["evaluate"]["truth_file"], config["evaluate"]["truth_file"])


def truth_file_state(wildcards):
    """Return size and date of that file, so that another one is noticed, whatever its date."""
    return dates.fingerprints(map(Path, truth_file()))


def network_files_state(wildcards):
    """Return size and date of each file of the network, so that others are noticed, whatever their dates."""
    return dates.fingerprints(map(Path, network_files()))


def network_files():
    """Return the files that the network is taken from; none for a data image."""
    network = config["network"]
    if network["archive"]:
        return [network["archive"]]
    directory = network["directory"]
    if not directory:
        return []
    graph = Path(directory, network["graph"])
    weights = ["graph.bin"] if graph.suffix == ".xml" else external.sibling_of(graph)
    names = [graph.name, "train.ini", *OPTIONAL, *weights]
    return [str(Path(directory, name)) for name in names]


@cache
def tag_stands_for():
    """Return the digest of a data image that has only a tag, as a run that does something finds it.

    Dry runs and jobs take what the last run found, so that they ask nobody.
    """
    memory = Path("resources/network/tag.json")
    runs = workflow.is_main_process and workflow.executor_plugin and not workflow.dryrun
    if not runs:
        return tags.remembered_digest(config["network"], memory)
    return tags.digest_behind_tag(config["network"], memory, logger.warning)


def digest_now(wildcards):
    """Return that digest when jobs are planned: reading the files of the workflow asks nobody."""
    return tag_stands_for()


@cache
def losses_of_boxes():
    """Return how often the version of the boxes was found lost; dry runs and jobs take what the last run found."""
    memory = Path("resources/losses.json")
    runs = workflow.is_main_process and workflow.executor_plugin and not workflow.dryrun
    if not runs:
        return version_check.losses_seen(memory)
    return version_check.look_for_losses(
        config["tator"],
        os.environ,
        destination=Path("resources/destination.json"),
        summary=Path("results/summary.json"),
        memory=memory,
        tell=logger.warning,
    )


def losses_now(wildcards):
    """Return that number when jobs are planned: reading the files of the workflow asks nobody."""
    return losses_of_boxes()


def graph_changes():
    """Return the records of what was done to the graph that detect reads, since it came."""
    records = {"converted": "record.json", "int8": "drift.json"}
    folder = Path(detect_graph()).parent
    return [str(folder / records[folder.name])] if folder.name in records else []


def calibrating(pattern):
    """Return the pattern's file for each media whose frames quantise the network."""
    media_ids = calibration.choose(
        config["detect"]["calibration_media"],
        config["tator"]["media_ids"],
        Path("resources/network/int8/drift.json"),
    )
    return of(media_ids, pattern)
