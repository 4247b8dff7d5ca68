"""Type, attributes and version are checked before anything is processed."""

import pytest

from scripts.lib.errors import ServerError, SettingsError


def test_version_is_made_once(steps):
    first, second = steps.prepare(), steps.prepare()
    assert first.pop("made_at")
    assert first == second
    made = [v for v in steps.api.get_version_list(steps.server.project_id) if v["name"] == "Object Detector"]
    assert len(made) == 1
    for text in ("site/weights:1", "sha256:abc", "sha256:def"):
        assert text in made[0]["description"]


@pytest.mark.parametrize("kind", ["drop_answer", "throttle", "reset"])
def test_version_is_made_once_although_an_answer_is_lost(steps, kind):
    steps.server.fault(kind, operation="CreateVersion")
    steps.prepare()
    names = [version["name"] for version in steps.api.get_version_list(steps.server.project_id)]
    assert names.count("Object Detector") == 1


def test_of_two_versions_of_one_name_the_oldest_is_used(steps):
    first = steps.prepare()
    assert first.pop("made_at")
    steps.api.create_version(steps.server.project_id, {"name": "Object Detector", "description": "the other run's"})
    assert steps.prepare() == first


def test_the_description_of_a_version_names_the_network(steps):
    version = steps.prepare()["version_id"]
    steps.digest = "sha256:" + "b" * 64
    steps.prepare()
    assert steps.digest in steps.api.get_version(version)["description"]
    steps.api.update_version(version, {"description": "ours since 2019"})
    steps.prepare()
    assert steps.api.get_version(version)["description"] == "ours since 2019"


def test_given_versions(steps):
    baseline = steps.api.get_version(steps.server.version_id)
    assert steps.prepare(version_id=baseline["id"])["version"] == baseline["name"]
    assert steps.prepare(version_number=baseline["number"])["version_id"] == baseline["id"]
    assert len(steps.api.get_version_list(steps.server.project_id)) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"localization_type_id": 987}, r"upload\.localization_type_id: the project has no 987; it has .*Box"),
        ({"species_attribute": "Taxon"}, r"upload\.species_attribute: .*'Taxon'.*Species \(string\)"),
        ({"species_attribute": "Confidence"}, r"no string or enum attribute 'Confidence'"),
        ({"confidence_attribute": "Species"}, r"no float attribute 'Species'"),
        ({"version_id": 987}, r"upload\.version_id: the project has no 987; it has .*Baseline"),
        ({"version_number": 987}, r"upload\.version_number: the project has no 987"),
    ],
)
def test_a_wrong_setting_is_named_with_the_possible_values(steps, changes, message):
    with pytest.raises(ServerError, match=message):
        steps.prepare(**changes)


@pytest.mark.parametrize("setting", ["evaluate.truth_version", "evaluate.track_truth_version"])
def test_the_version_of_true_boxes_is_not_the_one_to_upload_to(steps, setting):
    baseline = steps.api.get_version(steps.server.version_id)
    before = steps.prepare()["version_id"]
    for chosen in ({"version_number": baseline["number"]}, {"version": baseline["name"]}):
        with pytest.raises(SettingsError, match=rf"{setting}: {baseline['id']} is version 'Baseline', to which"):
            steps.prepare(true_versions={setting: baseline["id"]}, **chosen)
        assert steps.prepare(true_versions={setting: before + 1}, **chosen)["version_id"] == baseline["id"]


def test_a_dot_type_is_refused(steps):
    with pytest.raises(ServerError, match=r"of the kind dot; expected a box type"):
        steps.prepare(localization_type_id=steps.server.dot_type_id)


def test_species_that_an_enum_does_not_allow_are_refused(steps):
    attributes = [
        {"name": "Species", "dtype": "enum", "choices": ["cod", "eel"], "required": False},
        {"name": "Confidence", "dtype": "float", "required": False},
    ]
    steps.server.change("localization_type", steps.server.localization_type_id, attribute_types=attributes)
    with pytest.raises(ServerError, match=r"allows cod, eel; the network also knows crab"):
        steps.prepare()


def test_an_attribute_that_is_required_of_each_box_is_refused(steps):
    number = steps.server.localization_type_id
    [kind] = [one for one in steps.server.all("localization_type") if one["id"] == number]
    for filled in ({"required": False}, {"default": "?"}, {"dtype": "datetime", "use_current": True}):
        extra = {"name": "Observer", "dtype": "string", "required": True, **filled}
        steps.server.change("localization_type", number, attribute_types=[*kind["attribute_types"], extra])
        steps.prepare()
    extra = {"name": "Observer", "dtype": "string", "required": True}
    steps.server.change("localization_type", number, attribute_types=[*kind["attribute_types"], extra])
    with pytest.raises(ServerError, match="box type 'Box' requires 'Observer' of each box"):
        steps.prepare()
