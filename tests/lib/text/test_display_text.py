"""Names of any script are shown as they are, without characters that hide or reorder text."""

import pytest

from scripts.lib.text.display_text import printable


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("写真\u30001.jpg", "写真 1.jpg"),
        ("plongée n°\u00a012\u202f000.mp4", "plongée n° 12 000.mp4"),
        ("می\u200cگ.mp4", None),
        ("क्ष\u200d", None),
        ("👩\u200d🔬.mp4", None),
        ("", None),
        ("a\u200db\u200c", "a�b�"),
        ("\u200dé\u200d\u200d", "�é\u200d�"),
        ("a\u200bb\u2028c\u202egpj.\u2066\x1b[31m\n\ud800", "a�b�c�gpj.��[31m��"),
    ],
)
def test_printable(name: str, shown: str | None) -> None:
    assert printable(name) == (name if shown is None else shown)
