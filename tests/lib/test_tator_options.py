"""The site, the project and ids that commands are given: a wrong value is named with where it comes from."""

import argparse

import pytest

from scripts.lib import tator_options
from scripts.lib.errors import SettingsError

HOST, VARIABLE, MANY = "https://t.org", "TATOR_API_SERVICE", "9" * 30
EXPECTED = "expected: Address of the Tator site, `https://HOST[:PORT]`"
NUMBER = "expected a whole number from 1 to 9223372036854775807"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (VARIABLE, "TATOR_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("value", ["tator.site.org", "", "ftp://t.org", "https:", "https://t.org/a", "https:t.org"])
@pytest.mark.parametrize("source", ["--host", VARIABLE, "tator.host"])
def test_an_address_that_is_not_a_sites(value: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    option = value if source == "--host" else None
    monkeypatch.setenv(VARIABLE, value if source == VARIABLE else "")
    if source == VARIABLE and not value:
        return  # as if it were not set
    with pytest.raises(SettingsError) as caught:
        tator_options.site_and_project(option, "3", {"host": value} if source == "tator.host" else {"host": HOST})
    assert str(caught.value).startswith(f"{source}: '{value}' is invalid")
    assert "`https://HOST[:PORT]`" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [("12.5", "'12.5'"), ("-3", "'-3'"), ("abc", "'abc'"), ("0", "0"), (MANY, MANY), ("9" * 5000, "'999"), ("", "''")],
)
@pytest.mark.parametrize("source", ["--project", "TATOR_PROJECT_ID", "tator.project_id"])
def test_a_number_that_is_not_a_projects(value: str, shown: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if source == "TATOR_PROJECT_ID" and not value:
        return
    monkeypatch.setenv("TATOR_PROJECT_ID", value if source == "TATOR_PROJECT_ID" else "")
    with pytest.raises(SettingsError) as caught:
        tator_options.site_and_project(
            HOST, value if source == "--project" else None, {"project_id": value if source[0] == "t" else 4}
        )
    assert str(caught.value).startswith(f"{source}: {shown}")
    assert NUMBER in str(caught.value)


@pytest.mark.parametrize(
    ("host", "project", "settings", "message"),
    [
        ("t.org", "x", {}, f"--host: 't.org' is invalid; {EXPECTED}"),
        ("t.org", "x", {}, "\n--project: 'x' is invalid; "),
        (None, "x", {}, "--project: 'x' is invalid; "),
        (None, None, {}, "--host and --project missing; expected --host and --project ID, or TATOR_API"),
        (None, "1", {}, "--host missing; expected --host and --project ID"),
        (HOST, None, {"project_id": None}, "--project missing; expected --host and --project ID"),
        (None, None, {"host": 5, "project_id": 12.5}, "tator.host: 5 is invalid; expected text"),
        (None, None, {"host": 5, "project_id": 12.5}, "tator.project_id: 12.5 is invalid; "),
        (HOST, None, {"project_id": True}, "tator.project_id: true is invalid; "),
        ("https://me:pa55word@t.org", "1", {}, "--host: it contains a user name or password; expected https://"),
        ("https://t.org:x", "1", {}, "--host: 'https://t.org:x': Port could not be cast"),
    ],
)
def test_the_message_names_each_wrong_value(
    host: str | None, project: str | None, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        tator_options.site_and_project(host, project, settings)
    assert message in str(caught.value)
    assert "pa55word" not in str(caught.value)


def test_the_command_line_comes_before_the_environment_and_that_before_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = {"host": "https://file.org", "project_id": 3}
    assert tator_options.site_and_project(None, None, settings) == ("https://file.org", 3)
    monkeypatch.setenv(VARIABLE, "https://variable.org/rest/")
    monkeypatch.setenv("TATOR_PROJECT_ID", " 2 ")
    assert tator_options.site_and_project(None, None, settings) == ("https://variable.org", 2)
    assert tator_options.site_and_project("https://option.org/", "1", settings) == ("https://option.org", 1)


def test_ids() -> None:
    assert tator_options.identifier("9223372036854775807") == 2**63 - 1
    for text in ("0", "-3", "12.5", "abc", "٣", MANY, "9" * 5000):
        with pytest.raises(argparse.ArgumentTypeError, match=NUMBER):
            tator_options.identifier(text)
