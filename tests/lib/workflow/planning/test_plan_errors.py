import pytest

from scripts.lib.errors import SettingsError
from scripts.lib.workflow.planning import plan_errors


def test_an_error_for_users_is_a_message_and_ends_the_process():
    said = []
    with pytest.raises(SystemExit) as ended, plan_errors.errors_as_messages(said.append):
        raise SettingsError("tator.host: missing")
    assert (ended.value.code, said) == (1, ["tator.host: missing"])


def test_another_error_is_shown_as_it_is():
    said = []
    with pytest.raises(KeyError), plan_errors.errors_as_messages(said.append):
        raise KeyError("host")
    assert said == []
