"""Write the files that are generated from config/config.schema.yaml, where each setting is declared once.

    python -m scripts.lib.workflow.configuration.settings_files

Besides JSON Schema's keywords, a setting's entry has: `default`; `note`, a short comment for config.yaml;
`environment`, the variable that also sets it; `reference`, the reference workflow's keys for it. config/config.yaml
and the table in config/README.md are generated from these. The allowed values of detect.engine in the schema are
generated from the table of engines, scripts/lib/engines/table.py.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from scripts.lib.engines.table import ENGINES

ROOT = Path(__file__).resolve().parents[4]
SCHEMA, DEFAULTS, PAGE = (ROOT / "config" / name for name in ("config.schema.yaml", "config.yaml", "README.md"))

_HEAD = """\
# Every setting with its default, generated from config.schema.yaml by `make settings`. Your own file, given with
# `--configfile my.yaml`, needs only the settings that differ. config/README.md explains each setting, and names the
# environment variable or key of the reference workflow that also sets it. You have to set what is "required".
"""
_NOTES_COLUMN = 32
_TABLE_HEAD = "| setting | default | meaning | also set by |\n|---|---|---|---|\n"


def each_setting(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any], bool]]:
    """Yield the section, key, entry and whether it is required, of each setting."""
    for section, part in schema["properties"].items():
        for key, entry in part["properties"].items():
            yield section, key, entry, key in part.get("required", ())


def defaults(schema: Mapping[str, Any]) -> str:
    """Return the text of config/config.yaml."""
    lines, last = [_HEAD], None
    for section, key, entry, _ in each_setting(schema):
        if section != last:
            lines.append(f"{section}:\n" if last is None else f"\n{section}:\n")
            last = section
        line = f"  {key}: {_flow(entry['default'])}"
        note = f"{line.ljust(_NOTES_COLUMN - 1)} # {entry['note']}" if "note" in entry else line
        lines.append(f"{note}\n")
    return "".join([lines[0], "\n", *lines[1:]])


def table(schema: Mapping[str, Any]) -> str:
    """Return the table of settings of config/README.md."""
    lines = [_TABLE_HEAD]
    for section, key, entry, required in each_setting(schema):
        default = entry["default"]
        shown = "required" if required else "\N{EN DASH}" if default in (None, {}) else f"`{_flow(default)}`"
        also = [*([entry["environment"]] if "environment" in entry else []), *entry.get("reference", ())]
        others = ", ".join(f"`{name}`" for name in also)
        lines.append(f"| `{section}.{key}` | {shown} | {entry['description']} | {others} |\n")
    return "".join(lines)


def with_table(page: str, schema: Mapping[str, Any]) -> str:
    """Return the page with its table of settings replaced by the current one."""
    return re.sub(re.escape(_TABLE_HEAD) + r"(\|.*\n)*", lambda _: table(schema), page)


def with_engines(schema: str) -> str:
    """Return the schema's text with the names of the table of engines as the values of detect.engine."""
    entry = re.compile(r"(?<=\n      engine:\n)((?:        .*\n)*?        enum: ).*\n")
    return entry.sub(lambda found: f"{found[1]}[{', '.join(['auto', *ENGINES])}]\n", schema, count=1)


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True).strip().removesuffix("...").strip()


def main() -> None:
    """Write the files."""
    SCHEMA.write_text(with_engines(SCHEMA.read_text(encoding="utf-8")), encoding="utf-8")
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    DEFAULTS.write_text(defaults(schema), encoding="utf-8")
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), schema), encoding="utf-8")


if __name__ == "__main__":
    main()
