"""Read settings in the form of the reference workflow: flat keys, and the JSON object TATOR_PIPELINE_ARGS."""

from collections.abc import Iterator, Mapping
from typing import Any

from scripts.lib.engines.table import DEFAULT_ENGINE
from scripts.lib.errors import SettingsError
from scripts.lib.text import json_text, yaml_text
from scripts.lib.text.display_text import shown
from scripts.lib.workflow.configuration import settings_messages

# The most levels of sections and lists within each other; real settings have about four.
DEEPEST = 20
# Accepted without effect, as the type of a file is determined from its content.
UNUSED = ("img_ext",)


def pipeline_arguments(
    environ: Mapping[str, str], sections: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what TATOR_PIPELINE_ARGS sets: `{"section.key": value}`, and the reference workflow's keys.

    Args:
        environ: the process environment.
        sections: the sections of the schema.

    Raises:
        SettingsError: the variable is not a JSON object of settings.
    """
    text = environ.get("TATOR_PIPELINE_ARGS", "").strip()
    if not text:
        return {}, {}
    try:
        arguments = json_text.parse(text)
    except ValueError as error:
        raise SettingsError(
            f"TATOR_PIPELINE_ARGS is not JSON ({error}); expected an object such as "
            '{"keep_threshold": 0.3, "batch_size": 8}'
        ) from None
    if is_deeper(arguments, DEEPEST):
        raise SettingsError(f"TATOR_PIPELINE_ARGS is nested more than {DEEPEST} deep; expected an object of settings")
    try:
        yaml_text.check(text)
    except yaml_text.MisreadError as error:
        raise SettingsError(f"TATOR_PIPELINE_ARGS: {error}") from None
    if not isinstance(arguments, dict):
        raise SettingsError(f"TATOR_PIPELINE_ARGS is {shown(arguments)}; expected an object")
    nested: dict[str, Any] = {}
    for section in [name for name in arguments if name in sections]:
        part = {} if arguments[section] is None else arguments[section]  # empty, as in a settings file
        del arguments[section]
        if not isinstance(part, dict):
            raise SettingsError(
                f"TATOR_PIPELINE_ARGS: {section} is {shown(part)}; expected an object with its settings"
            )
        nested |= {f"{section}.{key}": value for key, value in part.items()}
    return nested, arguments


def is_deeper(value: Any, levels: int) -> bool:
    """Return whether lists and mappings are nested more than `levels` deep."""
    level = [value]
    for _ in range(levels):
        level = [
            part
            for each in level
            if isinstance(each, Mapping | list | tuple)
            for part in (each.values() if isinstance(each, Mapping) else each)
        ]
    return any(isinstance(each, Mapping | list | tuple) for each in level)


def each_setting(sections: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield `section.key` and the schema's entry of each setting."""
    for section, part in sections.items():
        for key, entry in part["properties"].items():
            yield f"{section}.{key}", entry


def translate(flat: Mapping[str, Any], where: str, sections: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the reference workflow's keys to `{"section.key": value}`.

    Args:
        flat: the values by the reference workflow's keys.
        where: the name of the place of these keys, for messages.
        sections: the sections of the schema.

    Raises:
        SettingsError: a key is unknown, a value has another form, or two keys set one setting to different values.
    """
    found: dict[str, Any] = {}
    reference = {key: path for path, entry in each_setting(sections) for key in entry.get("reference", ())}
    for key, value in flat.items():
        name = str(key).replace("-", "_")
        if name in UNUSED:
            continue
        if name == "media_type":
            # "pipeline" in the reference's upload step means the media type of its detection step.
            translated = {} if value == "pipeline" else {reference[name]: value}
        elif name == "img_size":
            if not (isinstance(value, list) and len(value) == 2):
                raise SettingsError(f"{where}: {key} is {shown(value)}; expected [img_max_side, img_min_side]")
            translated = {"detect.img_max_side": value[0], "detect.img_min_side": value[1]}
        elif name == "cpu_only":
            if not isinstance(value, bool):
                raise SettingsError(f"{where}: {key} is {shown(value)}; expected true or false")
            translated = {"detect.engine": DEFAULT_ENGINE} if value else {}
        elif name in reference:
            translated = {reference[name]: value}
        else:
            nearest = settings_messages.nearest(name, [*sections, *reference, *UNUSED])
            raise SettingsError(f"{where}: unknown key {shown(key)}{nearest}; known keys: config/README.md")
        for path, new in translated.items():
            if path in found and found[path] != new:
                raise SettingsError(
                    f"{where}: {path} is set twice, to {shown(found[path])} and by {key!r} to {shown(new)}"
                )
            found[path] = new
    return found
