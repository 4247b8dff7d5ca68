"""Keys that a YAML text gives twice, and octal numbers."""

import pytest

from scripts.lib.text import yaml_text

TWICE = [
    (
        "detect: {keep_threshold: 0.5}\nmedia: {}\ndetect:\n  batch_size: 8\n",
        "'detect' is given twice (lines 1 and 3); join the two",
    ),
    ("detect:\n  batch_size: 8\n  batch_size: 4\n", "'batch_size' is given twice (lines 2 and 3); remove one"),
    ('{\n\t"detect": {"batch_size": 8},\n\t"detect": {}}', "'detect' is given twice (lines 2 and 3); join the two"),
    ('{"a": 1, "a": 2}', "'a' is given twice (line 1); remove one"),
]


@pytest.mark.parametrize(("text", "message"), TWICE)
def test_a_key_that_is_given_twice_is_refused(text, message):
    with pytest.raises(yaml_text.MisreadError) as caught:
        yaml_text.check(text)
    assert str(caught.value) == message
    if "\t" not in text:
        with pytest.raises(yaml_text.MisreadError):
            yaml_text.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("media_ids: [1,\n 0123]\n", "line 2: 0123 is the number 83 in YAML; write 123 or 83, or put 0123 in quotes"),
        ("a: -0_17\n", "line 1: -0_17 is the number -15 in YAML; write -17 or -15, or put -0_17 in quotes"),
    ],
)
def test_an_octal_number_is_refused(text, message):
    with pytest.raises(yaml_text.MisreadError) as caught:
        yaml_text.check(text)
    assert str(caught.value) == message
    assert yaml_text.parse(text)  # a manifest may have octal rights of files


@pytest.mark.parametrize(
    "text", ["[0, 00, 07, -1, 0x1F, 0b101, 1_000, 0.5, 1e3, '017', \"017\", 1:30, 08, 0o17]", "017: a"]
)
def test_other_numbers_are_accepted(text):
    yaml_text.check(text)


@pytest.mark.parametrize("text", ["a: &x {k: 1}\nb: {<<: *x, k: 2}\n", "1: a\n'1': b\n", "- {a: 1}\n- {a: 2}\n", ""])
def test_other_keys_are_accepted(text):
    yaml_text.check(text)
    yaml_text.parse(text)


@pytest.mark.parametrize("text", ["a: [", "\0", "[" * 1000], ids=["open", "NUL", "deep"])
def test_other_faults_are_left_to_the_parser(text):
    yaml_text.check(text)
    with pytest.raises(ValueError, match=r"."):
        yaml_text.parse(text)


def test_keys_of_a_text_that_is_not_utf_8_are_checked():
    """A variable of the environment may have any bytes; Python reads them as surrogates."""
    with pytest.raises(yaml_text.MisreadError, match="'a' is given twice"):
        yaml_text.check('{"a": "\udcff", "a": 1}')


def test_the_last_value_is_used_in_files_of_others():
    """Programs that export networks may write a key twice."""
    assert yaml_text.parse_from_others("a: 1\na: 2\n") == {"a": 2}
