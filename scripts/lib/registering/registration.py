"""Register the workflow as an algorithm of a project: check, print the plan, then do it."""

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

# How many media at most a workflow of a new algorithm gets, unless another number is given.
FILES_PER_JOB = 50
# Of a new version, until its first run says of which network its boxes are.
VERSION_WORDS = f"Boxes {project_needs.OUR_WORDS}"

# What messages call a type.
_CALLED = {"MediaType": "media type", "LocalizationType": "box type", "StateType": "track type"}


@dataclass(frozen=True, kw_only=True)
class AlgorithmSpec:
    """The algorithm; what is None stays as it is, or gets Tator's default where it is new.

    Attributes:
        name: its name, by which the project knows it.
        manifest: the text of the manifest, filled in.
        files_per_job: how many media at most a workflow gets.
        description: a text for people.
        cluster: the job cluster's number.
        categories: labels, some of which Tator's pages heed.
    """

    name: str
    manifest: str
    files_per_job: int | None = None
    description: str | None = None
    cluster: int | None = None
    categories: list[str] | None = None

    def changes(self, standing: Mapping[str, Any]) -> dict[str, Any]:
        """Return what differs from an algorithm as it stands, the manifest apart."""
        asked = {name: getattr(self, name) for name in ("files_per_job", "description", "cluster", "categories")}
        return {name: value for name, value in asked.items() if value not in (None, standing.get(name))}

    def brings_manifest(self, standing: Mapping[str, Any]) -> bool:
        """Return whether the manifest is another one than that of an algorithm as it stands."""
        return not manifest.is_stored_as(self.manifest, standing.get("manifest"))


@dataclass(frozen=True)
class Step:
    """A change to make: in words, the permission that it needs, and the function, which checks before it writes."""

    text: str
    takes: str
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
        """Keep a problem for later instead of ending with it, so that all are named at once."""
        try:
            yield
        except PipelineError as error:
            self.problems.append(str(error))


def make_plan(
    host: str, project_id: int, wanted: AlgorithmSpec, resolve: Callable[[Mapping[str, str]], Any]
) -> RegistrationPlan:
    """Check manifest, settings and project; change nothing.

    Args:
        host: Tator's address.
        project_id: the project.
        wanted: the algorithm.
        resolve: returns the settings of a run in an environment.

    Raises:
        SettingsError: the manifest cannot be read.
    """
    workflow = manifest.read(wanted.manifest)
    plan = RegistrationPlan(problems=manifest.problems(workflow))
    # As a launch would have it, but for the media, which a person chooses then.
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
        for takes in sorted({step.takes for step in plan.steps if not rights.may(permission, step.takes)}):
            texts = "; ".join(step.text for step in plan.steps if step.takes == takes)
            expected = rights.TRANSFER_ANYWHERE if takes == rights.TRANSFER else takes
            plan.problems.append(
                f"{user['username']}, whose token it is, has the permission {permission} in the project; expected "
                f"{expected} to: {texts}. Have it given, or have it done by somebody who has it"
            )
    return plan


def _settings_of(
    plan: RegistrationPlan,
    workflow: Mapping[str, Any],
    launch: Mapping[str, str],
    resolve: Callable[[Mapping[str, str]], Any],
) -> Any:
    """Return the settings that a launch would have, checked as a run checks them; None if they are no good."""
    arguments = manifest.parameters(workflow).get("pipeline_args") or ""
    try:
        found = resolve({**launch, "TATOR_PIPELINE_ARGS": arguments})
    except SettingsError as error:
        lines = [line.removeprefix("  - ") for line in str(error).splitlines()]
        plan.problems += [f"pipeline_args: {line}" for line in lines if line != "the configuration cannot be used:"]
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
        problem = project_needs.missing_attribute(owner, _CALLED[kind], need)
        if problem and project_needs.has(owner, need.attribute):
            plan.problems.append(problem)
        elif problem:
            text = f"add the {need.dtypes[0]} attribute {need.attribute!r} to the {_CALLED[kind]} {owner['name']!r}"
            plan.steps.append(Step(text, rights.FULL, partial(_add_attribute, registry, kind, owner["id"], need)))


def _add_attribute(registry: AlgorithmProject, kind: str, type_id: int, need: Need) -> None:
    """Add an attribute, and look whether it stands as it is needed.

    Raises:
        ServerError: Tator refuses, or somebody else has added one of another kind meanwhile.
    """

    def owner() -> Mapping[str, Any]:
        types = {
            "MediaType": lambda: registry.media_types().values(),
            "LocalizationType": registry.localization_types,
            "StateType": registry.state_types,
        }[kind]()
        return next(one for one in types if one["id"] == type_id)

    add = partial(registry.add_attribute, kind, type_id, need.attribute, need.dtypes[0])
    project_needs.make_once(lambda: project_needs.has(owner(), need.attribute), add)
    if problem := project_needs.missing_attribute(owner(), _CALLED[kind], need):
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
    standing = named[0] if named else {}
    differs = [f"{name} {standing.get(name)!r} -> {value!r}" for name, value in wanted.changes(standing).items()]
    differs += ["its manifest"] if wanted.brings_manifest(standing) else []
    if not differs:
        plan.findings.append(f"the algorithm {wanted.name!r} ({standing['id']}) is as it should be")
        return
    _check_cluster(plan, registry, wanted.cluster or standing.get("cluster"), user, project["organization"])
    text = f"register the algorithm {wanted.name!r}"
    if standing:
        text = f"update the algorithm {wanted.name!r} ({standing['id']}): {', '.join(differs)}"
    takes = _right_to_write(registry, wanted.brings_manifest(standing), project["permission"])
    plan.steps.append(Step(text, takes, partial(_write, registry, wanted, user["id"])))


def _several(named: Sequence[Mapping[str, Any]], name: str) -> str:
    ids = ", ".join(str(one["id"]) for one in named)
    return (
        f"the algorithms {ids} are all named {name!r}, and Tator launches none of them; rename or delete all but one "
        "in the project's settings"
    )


def _right_to_write(registry: AlgorithmProject, brings_manifest: bool, permission: str) -> str:
    """Return the right that registering or updating takes: a higher one to store a manifest on some sites."""
    depends = rights.may(permission, rights.TRANSFER) and not rights.may(permission, rights.FULL)
    return rights.FULL if brings_manifest and depends and not registry.may_get_addresses() else rights.TRANSFER


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
        there = ", ".join(f"{number} ({name})" for number, name in clusters.items()) or "none"
        plan.problems.append(f"--cluster: the project's organization has no job cluster {cluster}; it has {there}")


def _write(registry: AlgorithmProject, wanted: AlgorithmSpec, user_id: int) -> None:
    """Register or update, and look whether it was kept.

    Raises:
        ServerError: Tator refuses, or does not keep what it was given.
    """
    stored: list[str] = []

    def stands() -> bool:
        standing = next(iter(registry.named(wanted.name)), None)
        return standing is not None and not wanted.changes(standing) and not wanted.brings_manifest(standing)

    def write() -> None:
        standing = next(iter(registry.named(wanted.name)), {})
        changes = wanted.changes(standing)
        if wanted.brings_manifest(standing):
            stored[:] = stored or [registry.store_manifest(wanted.manifest)]
            changes["manifest"] = stored[0]
        # Each time Tator wants these; without a cluster it keeps the old one, but asks for a staff user all the same.
        spec = {
            "name": wanted.name,
            "user": user_id,
            "cluster": standing.get("cluster"),
            "files_per_job": standing.get("files_per_job", FILES_PER_JOB),
            **changes,
        }
        if standing:
            registry.update(standing["id"], spec)
        else:
            registry.register(spec)

    project_needs.make_once(stands, write)
    named = registry.named(wanted.name)
    if len(named) > 1:  # somebody else registered one at the same moment
        raise ServerError(_several(named, wanted.name))
    if not named or wanted.changes(named[0]) or wanted.brings_manifest(named[0]):
        raise ServerError(f"Tator does not keep the algorithm {wanted.name!r} as given; see the project's settings")
