"""Errors while a run is planned."""

import pytest

from scripts.lib.errors import SettingsError
from scripts.lib.workflow.planning import plan_errors


def test_an_error_for_users_is_a_message_and_ends_the_process():
    messages = []
    with pytest.raises(SystemExit) as ended, plan_errors.errors_as_messages(messages.append):
        raise SettingsError("tator.host: missing")
    assert (ended.value.code, messages) == (1, ["tator.host: missing"])


def test_another_error_is_not_changed():
    messages = []
    with pytest.raises(KeyError), plan_errors.errors_as_messages(messages.append):
        raise KeyError("host")
    assert messages == []
