"""Register the workflow as an algorithm of a project: check it, and make the plan of the changes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from scripts.lib.errors import PipelineError, ServerError, SettingsError
from scripts.lib.registering import manifest
from scripts.lib.registering.algorithms import AlgorithmProject
from scripts.lib.server import project_needs, rights, rows
from scripts.lib.server.project_needs import Need

# The most media of a workflow of a new algorithm, unless another number is set.
FILES_PER_JOB = 50
# The description of a new version, until its first run adds the network.
VERSION_WORDS = f"Boxes {project_needs.OUR_WORDS}"

# The names of types in messages.
_TYPE_NAMES = {"MediaType": "media type", "LocalizationType": "box type", "StateType": "track type"}


@dataclass(frozen=True, kw_only=True)
class AlgorithmSpec:
    """The algorithm; values that are None are not changed, or get Tator's default if the algorithm is new.

    Attributes:
        name: the algorithm's name, which is unique in the project.
        manifest: the text of the manifest, with its parameters filled in.
        files_per_job: the most media of a workflow.
        description: a text for people.
        cluster: the job cluster's number.
        categories: labels, some of which have an effect on Tator's pages.
    """

    name: str
    manifest: str
    files_per_job: int | None = None
    description: str | None = None
    cluster: int | None = None
    categories: list[str] | None = None

    def changes(self, current: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values that differ from an algorithm in Tator, except the manifest."""
        wanted = {name: getattr(self, name) for name in ("files_per_job", "description", "cluster", "categories")}
        return {name: value for name, value in wanted.items() if value not in (None, current.get(name))}

    def has_new_manifest(self, current: Mapping[str, Any]) -> bool:
        """Return whether the manifest differs from that of an algorithm in Tator."""
        return not manifest.is_stored_as(self.manifest, current.get("manifest"))


@dataclass(frozen=True)
class Step:
    """A change to make: a description, the required permission, and the function, which checks before it writes."""

    text: str
    permission: str
    do: Callable[[], object]


@dataclass
class RegistrationPlan:
    """The messages, notes, steps and problems of a registration."""

    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Add an error to the problems instead of raising it, so that all problems are reported together."""
        try:
            yield
        except PipelineError as error:
            self.problems.append(str(error))


def make_plan(
    host: str, project_id: int, wanted: AlgorithmSpec, resolve: Callable[[Mapping[str, str], Mapping[str, Any]], Any]
) -> RegistrationPlan:
    """Check manifest, settings and project without any change, and return the plan.

    Args:
        host: Tator's address.
        project_id: the project.
        wanted: the algorithm.
        resolve: function that returns the settings of a run from its environment and its workflow.

    Raises:
        SettingsError: the manifest cannot be read.
    """
    workflow = manifest.read(wanted.manifest)
    plan = RegistrationPlan(problems=manifest.problems(workflow))
    # The environment of a launch, except for the media, which a person will choose.
    launch = {"TATOR_API_SERVICE": host, "TATOR_PROJECT_ID": str(project_id), "TATOR_MEDIA_IDS": "1"}
    found = _settings_of(plan, workflow, launch, resolve)
    with plan.collecting():
        registry = AlgorithmProject(host, project_id)
        user, project = registry.user(), registry.project()
        permission = project["permission"]
        account = f"{user['username']} ({permission})"
        plan.findings.append(f"project {project_id} {project['name']!r} of {host}, as {account}")
        if found:
            _plan_types(plan, registry, found)
            _plan_version(plan, registry, found)
        _plan_algorithm(plan, registry, wanted, user, project)
        for needed in sorted({step.permission for step in plan.steps if not rights.may(permission, step.permission)}):
            texts = "; ".join(step.text for step in plan.steps if step.permission == needed)
            expected = rights.TRANSFER_ANYWHERE if needed == rights.TRANSFER else needed
            plan.problems.append(
                f"{user['username']}, whose token it is, has the permission {permission} in the project; expected "
                f"{expected} to: {texts}. Have it given, or have it done by somebody who has it"
            )
    return plan


def _settings_of(
    plan: RegistrationPlan,
    workflow: Mapping[str, Any],
    launch: Mapping[str, str],
    resolve: Callable[[Mapping[str, str], Mapping[str, Any]], Any],
) -> Any:
    """Return the settings that a launch would have, checked as a run checks them; None if they are invalid."""
    arguments = manifest.parameters(workflow).get("pipeline_args") or ""
    try:
        found = resolve({**launch, "TATOR_PIPELINE_ARGS": arguments}, workflow)
    except SettingsError as error:
        lines = [line.removeprefix("  - ") for line in str(error).splitlines()]
        plan.problems += [f"pipeline_args: {line}" for line in lines if line != "the settings cannot be used:"]
        return None
    plan.notes += manifest.notes(workflow, found)
    return found


def _plan_types(plan: RegistrationPlan, registry: AlgorithmProject, found: Mapping[str, Any]) -> None:
    upload, kind = found["upload"], found["media"]["kind"]
    counts = project_needs.of_counts(found["counts"]["attributes"].values())
    media_needs = [project_needs.of_media(found["mark"]["attribute"]), *counts]
    for media_type in registry.media_types().values():
        if media_type.get("dtype") in (("video", "image") if kind == "any" else (kind,)):
            with plan.collecting():
                rows.require_type("media type", media_type)
                _plan_attributes(plan, registry, "MediaType", media_type, media_needs)
    with plan.collecting():
        box_type = project_needs.box_type(registry.localization_types(), upload["localization_type_id"])
        needs = project_needs.of_boxes(upload["species_attribute"], upload["confidence_attribute"])
        _plan_attributes(plan, registry, "LocalizationType", box_type, needs)
        plan.problems += filter(None, [project_needs.unset_required(box_type, needs)])
    if found["track"]["enabled"] and upload["track_type_id"] is not None:
        with plan.collecting():
            track_type = project_needs.track_type(registry.state_types(), upload["track_type_id"])
            length = upload["track_length_attribute"]
            track_needs = project_needs.of_tracks(upload["species_attribute"], upload["confidence_attribute"], length)
            _plan_attributes(plan, registry, "StateType", track_type, track_needs)
            plan.problems += filter(None, [project_needs.unset_required(track_type, track_needs, "track")])


def _plan_attributes(
    plan: RegistrationPlan, registry: AlgorithmProject, kind: str, owner: dict[str, Any], needs: Sequence[Need]
) -> None:
    for need in needs:
        problem = project_needs.missing_attribute(owner, _TYPE_NAMES[kind], need)
        if problem and project_needs.has(owner, need.attribute):
            plan.problems.append(problem)
        elif problem:
            text = f"add the {need.dtypes[0]} attribute {need.attribute!r} to the {_TYPE_NAMES[kind]} {owner['name']!r}"
            plan.steps.append(Step(text, rights.FULL, partial(_add_attribute, registry, kind, owner["id"], need)))


def _add_attribute(registry: AlgorithmProject, kind: str, type_id: int, need: Need) -> None:
    """Add an attribute, and verify it.

    Raises:
        ServerError: Tator refuses, or somebody else has added an attribute of another kind in the meantime.
    """

    def owner() -> Mapping[str, Any]:
        types = {
            "MediaType": lambda: registry.media_types().values(),
            "LocalizationType": registry.localization_types,
            "StateType": registry.state_types,
        }[kind]()
        return next(kind for kind in types if kind["id"] == type_id)

    add = partial(registry.add_attribute, kind, type_id, need.attribute, need.dtypes[0])
    project_needs.make_once(lambda: project_needs.has(owner(), need.attribute), add)
    if problem := project_needs.missing_attribute(owner(), _TYPE_NAMES[kind], need):
        raise ServerError(problem)


def _plan_version(plan: RegistrationPlan, registry: AlgorithmProject, found: Mapping[str, Any]) -> None:
    upload, versions = found["upload"], registry.versions()
    for setting, key, value in (
        ("upload.version_id", "id", upload["version_id"]),
        ("upload.version_number", "number", upload["version_number"]),
        *((f"evaluate.{key}", "id", found["evaluate"][key]) for key in ("truth_version", "track_truth_version")),
    ):
        if value is not None:
            with plan.collecting():
                project_needs.chosen_version(versions, key, value, setting)
    by_name = upload["version_id"] is None and upload["version_number"] is None
    if by_name and upload["version"] not in [version.get("name") for version in versions]:
        make = partial(project_needs.version_named, registry, upload["version"], VERSION_WORDS)
        plan.steps.append(Step(f"make the version {upload['version']!r}", rights.EDIT, make))


def _plan_algorithm(
    plan: RegistrationPlan,
    registry: AlgorithmProject,
    wanted: AlgorithmSpec,
    user: Mapping[str, Any],
    project: Mapping[str, Any],
) -> None:
    named = registry.named(wanted.name)
    if len(named) > 1:
        plan.problems.append(_several(named, wanted.name))
        return
    current = named[0] if named else {}
    differences = [f"{name} {current.get(name)!r} -> {value!r}" for name, value in wanted.changes(current).items()]
    differences += ["its manifest"] if wanted.has_new_manifest(current) else []
    if not differences:
        plan.findings.append(f"the algorithm {wanted.name!r} ({current['id']}) is as it should be")
        return
    _check_cluster(plan, registry, wanted.cluster or current.get("cluster"), user, project["organization"])
    text = f"register the algorithm {wanted.name!r}"
    if current:
        text = f"update the algorithm {wanted.name!r} ({current['id']}): {', '.join(differences)}"
    permission = _right_to_write(registry, wanted.has_new_manifest(current), project["permission"])
    plan.steps.append(Step(text, permission, partial(_write, registry, wanted, user["id"])))


def _several(named: Sequence[Mapping[str, Any]], name: str) -> str:
    ids = ", ".join(str(version["id"]) for version in named)
    return (
        f"the algorithms {ids} are all named {name!r}, and Tator launches none of them; rename or delete all but one "
        "in the project's settings"
    )


def _right_to_write(registry: AlgorithmProject, has_new_manifest: bool, permission: str) -> str:
    """Return the right that is needed to register or update: a higher one to store a manifest on some sites."""
    depends = rights.may(permission, rights.TRANSFER) and not rights.may(permission, rights.FULL)
    return rights.FULL if has_new_manifest and depends and not registry.may_get_addresses() else rights.TRANSFER


def _check_cluster(
    plan: RegistrationPlan, registry: AlgorithmProject, cluster: int | None, user: Mapping[str, Any], organization: int
) -> None:
    if cluster is None:
        plan.notes.append(
            "it runs in Tator's own cluster, which puts a storage class of its own (WORKFLOW_STORAGE_CLASSES) in place "
            "of the manifest's"
        )
        if not user["is_staff"]:
            plan.problems.append(
                f"{user['username']}, whose token it is, is not a staff user of the site; only these may register an "
                "algorithm that runs in Tator's own cluster: name a job cluster with --cluster, or have it done by one"
            )
        return
    clusters = registry.clusters(organization)
    if clusters is None:
        plan.notes.append(f"job cluster {cluster} is not looked at: only admins of the organization see its clusters")
    elif cluster not in clusters:
        existing = ", ".join(f"{number} ({name})" for number, name in clusters.items()) or "none"
        plan.problems.append(f"--cluster: the project's organization has no job cluster {cluster}; it has {existing}")


def _write(registry: AlgorithmProject, wanted: AlgorithmSpec, user_id: int) -> None:
    """Register or update the algorithm, and verify it.

    Raises:
        ServerError: Tator refuses, or does not keep the values that it was sent.
    """
    stored: list[str] = []

    def is_current() -> bool:
        current = next(iter(registry.named(wanted.name)), None)
        return current is not None and not wanted.changes(current) and not wanted.has_new_manifest(current)

    def write() -> None:
        current = next(iter(registry.named(wanted.name)), {})
        changes = wanted.changes(current)
        if wanted.has_new_manifest(current):
            stored[:] = stored or [registry.store_manifest(wanted.manifest)]
            changes["manifest"] = stored[0]
        # Tator always requires these. Without a cluster it keeps the old one, but requires a staff user nevertheless.
        spec = {
            "name": wanted.name,
            "user": user_id,
            "cluster": current.get("cluster"),
            "files_per_job": current.get("files_per_job", FILES_PER_JOB),
            **changes,
        }
        if current:
            registry.update(current["id"], spec)
        else:
            registry.register(spec)

    project_needs.make_once(is_current, write)
    named = registry.named(wanted.name)
    if len(named) > 1:  # somebody else registered one at the same moment
        raise ServerError(_several(named, wanted.name))
    if not named or wanted.changes(named[0]) or wanted.has_new_manifest(named[0]):
        raise ServerError(f"Tator does not keep the algorithm {wanted.name!r} as given; see the project's settings")
