"""A type that is not for tracks is refused; the message names the suitable types."""

import pytest

from scripts.lib.errors import ServerError
from scripts.lib.server import project_needs

TYPES = [
    {"id": 7, "name": "Track", "dtype": "state", "association": "Localization", "attribute_types": None},
    {"id": 8, "name": "Weather", "dtype": "state", "association": "Frame", "attribute_types": []},
]


@pytest.mark.parametrize(
    ("types", "type_id", "message"),
    [
        (TYPES, 9, r"upload.track_type_id: the project has no 9; .*7 \(Track\)$"),
        (TYPES, 8, r"'Weather' \(8\) has the association Frame; expected Localization, .*7 \(Track\)$"),
        ([], 7, r"the project has no 7; .*none$"),
    ],
)
def test_unsuitable_type(types, type_id, message):
    with pytest.raises(ServerError, match=message):
        project_needs.track_type(types, type_id)


def test_type_without_attributes():
    found = project_needs.track_type(TYPES, 7)
    needs = project_needs.of_tracks("Species", "Confidence", "Length")
    problems = [project_needs.missing_attribute(found, "track type", need) for need in needs]
    assert "track type 'Track' has no int attribute 'Length'; it has none" in str(problems[2])
