"""The commands in the documents, for tests that run them as written.

Tests get commands by page and first words; `test_documents.py` reads the tests' calls, and fails if a command is in
none of them.
"""

import re
from pathlib import Path

from tests.workflow import ROOT

_WRITTEN = {"build", "demo", "dist", "logs", "resources", "results"}  # written by runs and by make
_FOLDERS = [path for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "." and path.name not in _WRITTEN]
# Every page of the repository, with and without git; the changelog has commands of earlier versions.
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *(page for folder in _FOLDERS for page in folder.rglob("*.md")))
    if path.name != "CHANGELOG.md"
)
_SHELL = re.compile(r"^```(?:sh|bash|shell|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_OTHER = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_INDENTED = re.compile(r"(?<=\n\n)(?: {4}\S.*\n)(?: {4,}.*\n)*")
_PROGRAM = r"(?:python -m |python deploy/|(?:snakemake|make|kubectl|docker|pip|squeue) )"
_INLINE = re.compile(rf"`({_PROGRAM}[^`\n]*)`")


def shell_blocks(page: str) -> list[str]:
    """Return the text of each code block of a page that a shell runs."""
    return _SHELL.findall((ROOT / page).read_text(encoding="utf-8"))


def lines(block: str) -> list[str]:
    """Return the command lines of a block, joined where they are continued, without comments."""
    joined = re.sub(r"\\\n\s*", "", block)
    bare = (re.sub(r"(^|\s+)# .*$", "", line).strip() for line in joined.splitlines())
    return [line for line in bare if line]


def unmarked_commands(page: str) -> list[str]:
    """Return lines that look like commands in code blocks that are not marked as shell."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = [block for block in _OTHER.findall(text) if not _SHELL.match(block)] + _INDENTED.findall(
        _OTHER.sub("", text)
    )
    return [line for block in blocks for line in lines(block) if re.match(_PROGRAM, line)]


def block(page: str, beginning: str) -> str:
    """Return the one block of a page with a command that begins with `beginning`."""
    [found] = [text for text in shell_blocks(page) if any(line.startswith(beginning) for line in lines(text))]
    return found


def command(page: str, beginning: str) -> str:
    """Return the one command line of a page's blocks that begins with `beginning`."""
    [found] = [line for text in shell_blocks(page) for line in lines(text) if line.startswith(beginning)]
    return found


def inline(page: str, beginning: str) -> str:
    """Return the one command within a page's sentences that begins with `beginning`."""
    [found] = {text for text in inline_commands(page) if text.startswith(beginning)}
    return found


def inline_commands(page: str) -> list[str]:
    """Return the commands within a page's sentences."""
    text = _OTHER.sub("", (ROOT / page).read_text(encoding="utf-8"))
    return [found for found in _INLINE.findall(text) if "\n" not in found]


def calls(folder: Path) -> list[tuple[str, str, str]]:
    """Return each call of the functions above in tests: the function, the page and the first words."""
    sources = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))]
    pattern = re.compile(r'\b(block|command|inline)\(\s*"([^"]+\.md)",\s*"([^"]+)"\s*,?\s*\)')
    return [found for source in sources for found in pattern.findall(source)]
