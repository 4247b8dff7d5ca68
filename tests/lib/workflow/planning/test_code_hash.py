"""A script's hash changes with the modules that the script imports, and with no others."""

import ast
from pathlib import Path

import pytest

from scripts.lib.workflow.planning.code_hash import Sources

ROOT = Path(__file__).parents[4]


@pytest.fixture
def tree(tmp_path):
    for name, text in {
        "scripts/__init__.py": "",
        "scripts/lib/__init__.py": "",
        "scripts/work.py": "import os\nfrom scripts.lib import direct\n",
        "scripts/other.py": "from scripts.lib.lonely import thing\n",
        "scripts/lib/direct.py": "def f():\n    from scripts.lib.backends.late import g\n    return g\n",
        "scripts/lib/backends/__init__.py": "",
        "scripts/lib/backends/late.py": "import scripts.lib.direct\n",
        "scripts/lib/lonely.py": "thing = 1\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "noticed"),
    [
        ("scripts/work.py", True),
        ("scripts/lib/__init__.py", True),
        ("scripts/lib/direct.py", True),
        ("scripts/lib/backends/late.py", True),
        ("scripts/lib/backends/__init__.py", True),
        ("scripts/lib/lonely.py", False),
        ("scripts/other.py", False),
    ],
)
def test_which_changes_are_noticed(tree, changed, noticed):
    before = Sources(tree).hash("work")
    (tree / changed).write_text((tree / changed).read_text() + "# changed\n")
    assert (Sources(tree).hash("work") != before) is noticed


def test_a_module_for_other_rules_is_left_out(tree):
    before = Sources(tree).hash("work", "backends/late")
    (tree / "scripts/lib/backends/late.py").write_text("changed = 1\n")
    assert Sources(tree).hash("work", "backends/late") == before
    with pytest.raises(FileNotFoundError, match=r"absent\.py: expected a module of the script work"):
        Sources(tree).hash("work", "absent")


def test_no_two_scripts_have_the_same_hash():
    sources, scripts = Sources(ROOT), [path.stem for path in (ROOT / "scripts").glob("[!_]*.py")]
    assert len(scripts) == len({sources.hash(script) for script in scripts}) > 30


IMPORTS = """
    import os, scripts.lib.first as first
    from scripts.lib import second  # with a comment
    if True:
        from scripts.lib import (
            third as other,
            fourth,
        )
        from scripts.lib.fifth import function
        from scripts.lib \\
            import sixth
"""


def test_all_ways_to_import_are_found(tmp_path):
    modules = ["first", "second", "third", "fourth", "fifth", "sixth"]
    for name in ("work", *(f"lib/{module}" for module in modules)):
        (tmp_path / "scripts" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "scripts" / f"{name}.py").write_text("")
    (tmp_path / "scripts" / "work.py").write_text(IMPORTS)
    for module in modules:
        before = Sources(tmp_path).hash("work")
        (tmp_path / "scripts" / "lib" / f"{module}.py").write_text("changed = 1\n")
        assert Sources(tmp_path).hash("work") != before, module


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").rglob("*.py")), ids=lambda path: path.stem)
def test_all_imports_of_the_workflow_are_found(path):
    named = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
    files = {ROOT / f"{name.replace('.', '/')}.py" for name in named}
    sources = Sources(ROOT)
    assert {file for file in files if file.is_file()} <= sources._imports(path)
