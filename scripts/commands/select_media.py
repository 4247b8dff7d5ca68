"""Choose media of a Tator project and write a file that names them, for tator.media_file.

    python -m scripts.commands.select_media --section 12 --unprocessed --output media.txt

A summary of the selection is printed first, on standard error; without --output the ids go to standard output.
"""

import argparse
import base64
import heapq
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.lib import command_line, tator_options
from scripts.lib.errors import ServerError, SettingsError
from scripts.lib.network_access.token import redact
from scripts.lib.server import project_needs, rows, values
from scripts.lib.server.api import Project
from scripts.lib.server.processed import is_marked
from scripts.lib.text import json_text, yaml_text
from scripts.lib.text.display_text import as_json, shown
from scripts.lib.workflow.configuration import media_list
from scripts.lib.workflow.configuration.reference_keys import is_deeper

MARK = "Object Detector Processed"
KINDS = ("video", "image")
NAMES_SHOWN = 3
SECTIONS_SHOWN = 20
_DEEPEST_SEARCH = 20
# The keys of the two kinds of searches in Tator's format, and the fields of media that Tator can search.
_COMBINATION, _CONDITION = ("method", "operations"), ("attribute", "operation", "value", "inverse")
_SEARCHED_FIELDS = (
    *("$id", "$type", "$name", "$section", "$num_frames", "$fps", "$width", "$height", "$archive_state"),
    *("$created_by", "$created_datetime", "$modified_by", "$modified_datetime", "$elemental_id"),
    *("$related_localizations", "$related_states"),
)
# The fields of a media's record that are used.
FIELDS = "id,name,type,num_frames,fps,attributes"


@dataclass(frozen=True, kw_only=True)
class MediaFilter:
    """The conditions that selected media meet; a condition that is not set selects all.

    Attributes:
        kind: `video`, `image`, or `any` for both.
        section: number of a section: a folder with the folders in it, or a playlist or saved search in Tator.
        name: a part of the name; upper and lower case are the same.
        search: a search in Tator's format, AttributeOperationSpec.
        attributes: attributes with the value that each must have; "" for none.
        unmarked: the attribute that must have no mark.
    """

    kind: str = "any"
    section: int | None = None
    name: str | None = None
    search: dict[str, Any] | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    unmarked: str | None = None

    def filters(self) -> dict[str, Any]:
        """Return the filters that Tator itself applies, without the section.

        Attributes are compared here instead, as Tator ignores names that it does not know.
        """
        by_name = {"attribute": "$name", "operation": "icontains", "value": self.name} if self.name else None
        searches = [part for part in (by_name, self.search) if part]
        found: dict[str, Any] = {"dtype": self.kind} if self.kind in KINDS else {}
        if searches:
            search = searches[0] if len(searches) == 1 else {"method": "and", "operations": searches}
            found["encoded_search"] = base64.b64encode(json.dumps(search).encode()).decode()
        return found


@dataclass
class Selection:
    """The ids of the selected media, and counts of selected media and of the others."""

    media_ids: list[int] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    names: list[str] = field(default_factory=list)
    hours: float = 0.0
    of_unknown_length: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add(self, media: dict[str, Any], kind: str) -> None:
        """Add a media."""
        self.media_ids.append(media["id"])
        self.counts[kind] += 1
        if len(self.names) < NAMES_SHOWN:
            self.names.append(f"{media['id']} {as_json(media['name'])}")
        if kind == "video":
            frames, fps = media.get("num_frames"), media.get("fps")
            self.hours += frames / fps / 3600 if frames and fps else 0
            self.of_unknown_length += not (frames and fps)

    def lines(self) -> list[str]:
        """Return a summary: the selected media, and why others are not selected."""
        unknown = f", {self.of_unknown_length} of unknown length" if self.of_unknown_length else ""
        videos = f"{self.counts['video']} videos ({self.hours:.1f} hours{unknown})"
        lines = [f"{len(self.media_ids)} media are selected: {videos}, {self.counts['image']} images"]
        lines += self.remarks
        lines += [f"for example {', '.join(self.names)}"] if self.names else []
        return lines + [f"{count} are left out: {why}" for why, count in sorted(self.left_out.items())]


def select_media(host: str, project_id: int, wanted: MediaFilter) -> Selection:
    """Select from the project's media, page by page.

    Raises:
        ServerError: no media type has such an attribute, or Tator fails.
    """
    project = Project(host, project_id)
    types = project.media_types()
    for media_type in types.values():
        rows.require_type("media type", media_type)
    names = [*wanted.attributes, *([wanted.unmarked] if wanted.unmarked else []), *_searched(wanted.search)]
    _check_attributes(types, names)
    selection = Selection()
    sections = _with_folders_inside(project.sections(), wanted.section) if wanted.section is not None else []
    if len(sections) > 1:
        selection.remarks.append(f"with the {len(sections) - 1} folders inside section {wanted.section}")
    where: list[dict[str, Any]] = [{"section": section} for section in sections] or [{}]
    found = [project.select_media(fields=FIELDS, **wanted.filters(), **each) for each in where]
    last = None
    for media in heapq.merge(*(map(_checked, each) for each in found), key=lambda each: int(each["id"])):
        if media["id"] == last:  # a media may be in several sections
            continue
        last = media["id"]
        why = _reason_left_out(media, types.get(media["type"], {}), wanted)
        if why is None:
            selection.add(media, types[media["type"]]["dtype"])
        else:
            selection.left_out[why] = selection.left_out.get(why, 0) + 1
    return selection


def _checked(media: dict[str, Any]) -> dict[str, Any]:
    """Return a media as the selection uses it.

    Raises:
        Unusable: one of its values has the wrong type.
    """
    with rows.used_for(f"media {media['id']}"):
        name = values.optional_text(media.get("name"), "name")
        values.whole(media.get("type"), "type")
        values.optional_rate(media.get("num_frames"), "num_frames")
        values.optional_rate(media.get("fps"), "fps")
        values.mapping(media.get("attributes") or {}, "attributes")
    return {**media, "name": name}


def _with_folders_inside(sections: list[dict[str, Any]], number: int) -> list[int]:
    """Return the numbers of a section and of all folders inside it, since Tator lists only the folder itself.

    Raises:
        ServerError: there is no such section; the message names those of the project.
    """
    paths = {section["id"]: str(section.get("path") or "") for section in sections}
    if number not in paths:
        present = (
            ", ".join(
                f"{section['id']} ({project_needs.shown(section.get('name'))})" for section in sections[:SECTIONS_SHOWN]
            )
            or "none"
        )
        more = f" and {len(sections) - SECTIONS_SHOWN} more" if len(sections) > SECTIONS_SHOWN else ""
        raise ServerError(f"--section: the project has no section {number}; it has {present}{more}")
    # A path names the folders from the outermost on, separated by dots.
    inside = [other for other, path in paths.items() if paths[number] and path.startswith(f"{paths[number]}.")]
    return [number, *sorted(inside)]


def _searched(search: Any) -> Iterator[str]:
    """Yield the attributes that a search names, except Tator's own fields, whose names begin with `$`."""
    if isinstance(search, dict):
        name = search.get("attribute")
        if isinstance(name, str) and not name.startswith("$"):
            yield name
        for part in search.get("operations") or []:
            yield from _searched(part)


def _check_attributes(types: dict[int, dict[str, Any]], names: list[str]) -> None:
    known = {
        kind["name"]
        for found in types.values()
        if found["dtype"] in KINDS
        for kind in found.get("attribute_types") or []
    }
    for name in names:
        if name not in known:
            present = ", ".join(map(repr, sorted(known))) or "none"
            raise ServerError(f"no media type has an attribute {name!r}; they have {present}")


def _reason_left_out(media: dict[str, Any], media_type: dict[str, Any], wanted: MediaFilter) -> str | None:
    if media_type.get("dtype") not in KINDS:
        return f"of the kind {media_type.get('dtype')}"
    for name, value in wanted.attributes.items():
        if _text((media.get("attributes") or {}).get(name)) != value:
            return f"{name!r} is not {value!r}"
    if wanted.unmarked and is_marked(media, media_type, wanted.unmarked):
        return f"marked as processed ({wanted.unmarked})"
    return None


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command_line.Parser(
        prog="python -m scripts.commands.select_media",
        description="Choose media of a Tator project and write a file that names them, for tator.media_file.",
        epilog="The API token is read from TATOR_AUTH_TOKEN. Exit code: 0, or 1 when nothing was selected or written.",
    )
    add = parser.add_argument
    add("--host", help="Tator's address (or TATOR_API_SERVICE)")
    add("--project", metavar="ID", help="project (or TATOR_PROJECT_ID)")
    add("--kind", choices=["any", *KINDS], default="any", help="videos or images only")
    add(
        "--section",
        type=tator_options.identifier,
        metavar="ID",
        help="media of this section and of the folders in it; its number is in Tator's address: section=ID",
    )
    add(
        "--name",
        type=command_line.not_empty,
        metavar="TEXT",
        help="media whose name contains this; upper and lower case are the same",
    )
    add(
        "--search",
        type=_search,
        metavar="JSON",
        help="media found by this search in Tator's format (AttributeOperationSpec)",
    )
    add(
        "--attribute",
        action=command_line.StorePairs,
        default={},
        metavar="NAME=VALUE",
        help="media whose attribute has this value; empty for none; may be repeated, for several attributes",
    )
    add("--unprocessed", action="store_true", help="media that no run has marked as processed")
    add(
        "--mark-attribute",
        type=command_line.not_empty,
        metavar="NAME",
        help=f"the attribute with the mark ({MARK})",
    )
    add("--output", type=command_line.output_file, metavar="FILE", help="file to write (default: standard output)")
    options = parser.parse_args(arguments)
    if options.mark_attribute is not None and not options.unprocessed:
        parser.error("--mark-attribute needs --unprocessed")
    try:
        options.host, options.project = tator_options.site_and_project(options.host, options.project)
    except SettingsError as error:
        parser.error(str(error))
    return options


def _search(text: str) -> dict[str, Any]:
    try:
        search = json_text.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if is_deeper(search, _DEEPEST_SEARCH):
        raise argparse.ArgumentTypeError(f"it is nested more than {_DEEPEST_SEARCH} deep")
    try:
        yaml_text.check(text)  # JSON too: its parser uses the last value of a key that is given twice
    except yaml_text.MisreadError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    _check_search(search)
    return dict(search)


def _check_search(search: Any) -> None:
    """Check the form of a search, as Tator ignores keys and fields that it does not know.

    It refuses operations that it does not know, which depend on its version.
    """
    if not isinstance(search, dict) or not search.keys() & {"attribute", "method"}:
        raise argparse.ArgumentTypeError(f"{shown(search)}; expected a JSON object with 'attribute' or 'method'")
    known = _COMBINATION if "method" in search else _CONDITION
    if unknown := [key for key in search if key not in known]:
        raise argparse.ArgumentTypeError(f"{shown(search)}: the key {unknown[0]!r}; expected {', '.join(known)}")
    if "method" in search:
        method = str(search["method"]).lower()
        if method not in ("and", "or", "not"):
            raise argparse.ArgumentTypeError(f"method is {shown(search['method'])}; expected and, or, not")
        if not isinstance(search.get("operations"), list) or not search["operations"]:
            raise argparse.ArgumentTypeError(f"{shown(search)}; expected 'operations' with a list of searches")
        if method == "not" and len(search["operations"]) > 1:
            raise argparse.ArgumentTypeError(f"{shown(search)}: expected one search in the 'operations' of 'not'")
        for part in search["operations"]:
            _check_search(part)
        return
    if not all(isinstance(search.get(key), str) for key in ("attribute", "operation")) or "value" not in search:
        raise argparse.ArgumentTypeError(f"{shown(search)}; expected 'attribute', 'operation', such as 'eq', 'value'")
    if not isinstance(search.get("inverse", False), bool):
        raise argparse.ArgumentTypeError(f"inverse is {shown(search['inverse'])}; expected true or false")
    if search["attribute"].startswith("$") and search["attribute"] not in _SEARCHED_FIELDS:
        fields = ", ".join(_SEARCHED_FIELDS)
        raise argparse.ArgumentTypeError(f"the field {shown(search['attribute'])}; expected one of {fields}")


def _run(options: argparse.Namespace) -> None:
    wanted = MediaFilter(
        kind=options.kind,
        section=options.section,
        name=options.name,
        search=options.search,
        attributes=options.attribute,
        unmarked=(options.mark_attribute or MARK) if options.unprocessed else None,
    )
    selection = select_media(options.host, options.project, wanted)
    sys.stderr.write("".join(f"{redact(line)}\n" for line in selection.lines()))
    if not selection.media_ids:
        raise SettingsError("nothing is selected, and nothing is written; remove some of the filters")
    filters = json.dumps({name: value for name, value in vars(wanted).items() if value})
    remarks = [
        f"{len(selection.media_ids)} media of project {options.project} of {options.host}",
        f"selected by {filters}",
    ]
    if options.output is None:
        sys.stdout.writelines(media_list.lines(selection.media_ids, remarks))
        sys.stdout.flush()
    else:
        media_list.write(options.output, selection.media_ids, remarks)
        sys.stderr.write(f"{options.output.absolute()}: written; name it in tator.media_file\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line; return 0, or 1 when nothing was selected or written."""
    options = _arguments(arguments)
    return command_line.run(lambda: _run(options))


if __name__ == "__main__":
    sys.exit(main())
