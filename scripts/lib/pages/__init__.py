"""Write HTML pages: single files without scripts and requests, in which names are escaped."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from scripts.lib.files import replacing
from scripts.lib.text.display_text import printable, short, without_commands

_TEMPLATES = Path(__file__).parent


def write_page(template: str, path: Path, **values: Any) -> None:
    """Fill in a template of this folder and write it; a missing value is an error."""
    pages = Environment(
        autoescape=True,
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"printable": printable, "short": short, "thousands": "{:,}".format}
    with replacing(path) as stream:
        stream.writelines(map(without_commands, pages.get_template(template).generate(**values)))
        stream.write("\n")
