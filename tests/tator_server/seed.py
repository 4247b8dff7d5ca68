"""Content of a new state, and media from the files of the media folder.

Ids of different kinds differ, so that a test notices if one is used for another.
"""

import secrets
import uuid
from pathlib import Path
from typing import Any

from . import catalogue, files, medias
from .store import Record, Store

ADMIN, PERSON, VIEWER = 1, 2, 3
PROJECT, FOREIGN = 11, 12
VIDEO_TYPE, IMAGE_TYPE, MULTI_TYPE, LIVE_TYPE, FOREIGN_TYPE = 21, 22, 23, 24, 25
BOX_TYPE, DOT_TYPE, FOREIGN_BOX_TYPE = 31, 32, 33
BASELINE, FOREIGN_BASELINE = 41, 42

_PEOPLE = {ADMIN: ("admin", "Ada", "Admin"), PERSON: ("person", "Per", "Son"), VIEWER: ("viewer", "Vi", "Ewer")}
_MEDIA_TYPES = {
    VIDEO_TYPE: (PROJECT, "Video", "video"),
    IMAGE_TYPE: (PROJECT, "Image", "image"),
    MULTI_TYPE: (PROJECT, "Multi", "multi"),
    LIVE_TYPE: (PROJECT, "Live", "live"),
    FOREIGN_TYPE: (FOREIGN, "Video", "video"),
}
_BOX_TYPES = {
    BOX_TYPE: (PROJECT, "Box", "box", [VIDEO_TYPE, IMAGE_TYPE]),
    DOT_TYPE: (PROJECT, "Dot", "dot", [VIDEO_TYPE, IMAGE_TYPE]),
    FOREIGN_BOX_TYPE: (FOREIGN, "Box", "box", [FOREIGN_TYPE]),
}


def seed(store: Store) -> None:
    """Fill a new state; leave a state with content unchanged."""
    if store.all("project"):
        return
    for number, (username, first, last) in _PEOPLE.items():
        store.add("user", _person(username, first, last), id=number)
    full, view = "Full Control", "View Only"
    _add_project(store, PROJECT, "Stand-in", {str(ADMIN): full, str(PERSON): "Can Edit", str(VIEWER): view})
    _add_project(store, FOREIGN, "Foreign", {str(ADMIN): full})
    for number, (project, name, dtype) in _MEDIA_TYPES.items():
        store.add("media_type", media_type(project, name, dtype), id=number)
    for number, (project, name, dtype, media) in _BOX_TYPES.items():
        store.add("localization_type", localization_type(project, name, dtype, media), id=number)
    for number, project in ((BASELINE, PROJECT), (FOREIGN_BASELINE, FOREIGN)):
        version = catalogue.new_version(store, project, None, name="Baseline", description="Initial version")
        store.execute("UPDATE version SET id = ? WHERE id = ?", number, version)
    store.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'version'", FOREIGN_BASELINE)
    store.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('localization', 1000)")


def add_files(store: Store, folder: Path) -> None:
    """Add each file of the folder that is not a media yet, in order of names."""
    known = {row["path"] for row in store.rows("SELECT path FROM object WHERE folder = 'media'")}
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith(".") and path.name not in known:
            found = files.probe(path)
            number = IMAGE_TYPE if found.dtype == "image" else VIDEO_TYPE
            media = medias.new_media(
                store,
                project=PROJECT,
                entity_type=store.find("media_type", number) or {},
                name=path.name,
                user=ADMIN,
                md5=files.tator_md5(path),
                gid=str(uuid.uuid4()),
                uid=str(uuid.uuid4()),
                num_frames=found.num_frames,
                fps=found.fps,
                width=found.width,
                height=found.height,
            )
            store.change("media", media, media_files=files.add_original(store, PROJECT, media, path, found))


def _person(username: str, first: str, last: str) -> Record:
    return {
        "username": username,
        "first_name": first,
        "last_name": last,
        "email": f"{username}@example.invalid",
        "is_staff": username == "admin",
        "affiliation": "Admin" if username == "admin" else "Member",
        "elemental_id": str(uuid.uuid4()),
        "profile": {},
        "token": secrets.token_hex(20),
    }


def _add_project(store: Store, number: int, name: str, permissions: dict[str, str]) -> None:
    project = {
        "name": name,
        "organization": 1,
        "size": 0,
        "duration": 0,
        "thumb": "",
        "attribute_types": [],
        "enable_downloads": True,
        "elemental_id": str(uuid.uuid4()),
        "permissions": permissions,
        "creator": ADMIN,
        "effective_permission": 0,
    }
    store.add("project", project, id=number)


def attribute(name: str, dtype: str, **more: Any) -> Record:
    """Return an attribute of a type."""
    return {"name": name, "dtype": dtype, "order": 0, "required": False, "description": "", **more}


def media_type(project: int, name: str, dtype: str) -> Record:
    """Return a media type with the attributes that the pipeline marks."""
    return {
        "project": project,
        "name": name,
        "description": "",
        "dtype": dtype,
        "attribute_types": [
            attribute("Object Detector Processed", "string", default="No", description="set by the pipeline"),
            attribute("Notes", "string"),
        ],
        "file_format": None,
        "default_volume": 0,
        "visible": True,
        **dict.fromkeys(("archive_config", "streaming_config", "overlay_config")),
        **dict.fromkeys(("default_box", "default_line", "default_dot")),
        "elemental_id": str(uuid.uuid4()),
        "effective_permission": 0,
    }


def localization_type(project: int, name: str, dtype: str, media: list[int]) -> Record:
    """Return a localization type; boxes have a species and a score."""
    return {
        "project": project,
        "name": name,
        "description": "",
        "dtype": dtype,
        "attribute_types": [attribute("Species", "string"), attribute("Confidence", "float")] if dtype == "box" else [],
        "color_map": None,
        "line_width": 3,
        "visible": True,
        "drawable": True,
        "grouping_default": True,
        "elemental_id": str(uuid.uuid4()),
        "effective_permission": 0,
        "media": media,
    }
