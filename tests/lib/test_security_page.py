"""Each file that docs/security.md names is there."""

import re

from tests.workflow import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()


def test_each_file_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`((?:tests|scripts|deploy)/[\w/.-]+\.py)`", PAGE))
    assert len(named) > 15
    assert sorted(name for name in named if not (ROOT / name).is_file()) == []
