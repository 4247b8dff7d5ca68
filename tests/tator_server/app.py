"""One request from its address to its answer."""

import json
import math
from typing import Any

from flask import Flask, Request, Response, redirect, request
from werkzeug.exceptions import MethodNotAllowed, NotFound

from . import algorithms, attribute_types, catalogue, interface, localizations, medias, state_types, states
from .control import Controls
from .errors import RefusedError, UnknownFieldError
from .faults import Faults
from .interface import Operation
from .operations import HANDLERS, Call
from .presigned import Addresses
from .request_log import RequestLog
from .store import HELD_BACK, Record, Store

_SERVED = (
    algorithms,
    attribute_types,
    catalogue,
    localizations,
    medias,
    state_types,
    states,
)  # importing these fills HANDLERS

_NOT_FOUND = """

<html lang="en">
    <head>
        <title>Not Found</title>
        <meta charset="UTF-8" />
    </head>
    <body><h1>Not Found</h1></body>
</html>
"""

_SERVER_ERROR = "<html><body><h1>Server Error (500)</h1></body></html>"


def api_app(store: Store, addresses: Addresses, faults: Faults, log: RequestLog) -> Flask:
    """Return the WSGI application of the API, with the tests' controls."""
    app = Flask(__package__, static_folder=None)
    app.url_map.merge_slashes = False

    @app.before_request
    def first_slash() -> None:
        """Do not serve `//schema`, the address with a host that ends in a slash, as `/schema`."""
        if request.environ["PATH_INFO"].startswith("//"):
            raise NotFound

    def route(operation: Operation) -> None:
        def view(**path: int) -> Response:
            with log.entry(request, operation.name, _media_named(operation, request, path)) as entry:
                return faults.play(entry, lambda: _answer(store, addresses, operation, path), expire=addresses.expire)

        app.add_url_rule(operation.rule, operation.name, view, methods=[operation.method], strict_slashes=True)

    operations = {operation.name: operation for operation in interface.operations()}
    if operations.keys() != HANDLERS.keys():
        raise LookupError(f"openapi.yaml and the handlers differ: {operations.keys() ^ HANDLERS.keys()}")
    for operation in operations.values():
        route(operation)

    @app.get("/schema")
    def schema_without_slash() -> Any:
        return redirect("/schema/", 301)

    @app.get("/schema/")
    def schema() -> Response:
        with log.entry(request, "GetSchema", set()) as entry:
            return faults.play(entry, _schema, expire=addresses.expire)

    @app.get("/<int:project>/annotation/<int:media>")
    def player(project: int, media: int) -> Response:
        """Answer links of a report to Tator's player, which the stand-in does not have."""
        frame = request.args.get("frame", 0, type=int)
        text = (
            f"This stand-in has no player: in Tator you would see frame {frame} of media {media} of project {project}."
        )
        return Response(text, mimetype="text/plain")

    @app.errorhandler(NotFound)
    def unknown_address(error: NotFound) -> Response:
        return _unserved(log, Response(_NOT_FOUND, 404))

    @app.errorhandler(MethodNotAllowed)
    def unknown_method(error: MethodNotAllowed) -> Response:
        return _unserved(log, _json(RefusedError(f'Method "{request.method}" not allowed.').body, 400))

    Controls(app, store, addresses, faults, log)
    return app


def _unserved(log: RequestLog, response: Response) -> Response:
    """Log a request that no operation serves."""
    with log.entry(request, None, set()) as entry:
        entry.status = response.status_code
        return response


def _schema() -> Response:
    if interface.ETAG in request.headers.get("If-None-Match", ""):
        return Response(status=304, headers={"ETag": interface.ETAG})
    kind = "application/vnd.oai.openapi; charset=utf-8"
    return Response(interface.TEXT, headers={"ETag": interface.ETAG, "Content-Type": kind})


def _answer(store: Store, addresses: Addresses, operation: Operation, path: dict[str, int]) -> Response:
    """Carry out a request in one transaction."""
    try:
        user = _user(store, request)
        query = operation.read_query(request.args)
        body = _body(operation, request)
        fields = body if isinstance(body, dict) else {}
        call = Call(store, addresses, user, {**fields, **query, **path}, body)
        kept: RefusedError | None = None
        wait = HELD_BACK.get()
        with store.held_back(wait) if wait else store.transaction():
            try:
                answer = HANDLERS[operation.name](call)
            except RefusedError as error:
                if not error.kept:
                    raise
                kept = error
        if kept is not None:
            raise kept
    except RefusedError as error:
        return _json(error.body, error.status)
    except UnknownFieldError:
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        return Response(iter(()), 200, headers) if operation.method == "GET" else Response(_SERVER_ERROR, 500)
    return _json(answer, operation.success)


def _user(store: Store, asked: Request) -> Record:
    """Return the token's user. A bad token is a 400, not a 401."""
    scheme, _, token = asked.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "token":
        raise RefusedError("Authentication credentials were not provided.")
    for user in store.all("user"):
        if user["token"] == token.strip():
            return user
    raise RefusedError("Invalid token.")


def _body(operation: Operation, asked: Request) -> Any:
    if operation.body is None:
        return None
    if not asked.get_data():
        if operation.method == "DELETE":
            return {}
        raise RefusedError("Missing required request body")
    try:
        body = json.loads(asked.get_data())  # accepts NaN, as Tator's parser does
    except ValueError as error:
        raise RefusedError("Request body validation error", details=f"Failed to deserialize: {error}") from error
    if body == []:
        return body
    operation.check_body(body)
    return body


def _json(answer: Any, status: int) -> Response:
    """Return a JSON answer; in a list, NaN is written as it is, which Python reads; in an object, it is a 500."""
    text = json.dumps(answer, ensure_ascii=False)
    if isinstance(answer, dict) and _has_nan(answer):
        return Response(_SERVER_ERROR, 500)
    return Response(text, status, {"Content-Type": "application/json"})


def _has_nan(record: Record) -> bool:
    return any(isinstance(value, float) and math.isnan(value) for value in record.values())


def _media_named(operation: Operation, asked: Request, path: dict[str, int]) -> set[int]:
    """Return the media ids in a request, for faults that apply to one media."""
    found = {path["id"]} if operation.path == "/rest/Media/{id}" else set()
    found |= {int(part) for part in asked.args.get("media_id", "").split(",") if part.isdigit()}
    body = asked.get_json(silent=True, cache=True) if operation.body else None
    for record in body if isinstance(body, list) else [body]:
        if isinstance(record, dict):
            ids = record.get("ids") if "/Media" in operation.path else None
            for number in [*(ids or []), *(record.get("media_ids") or []), record.get("media_id")]:
                found |= {number} if isinstance(number, int) else set()
            for key in record.get("keys") or []:
                found |= {int(part) for part in str(key).split("/")[2:3] if part.isdigit()}
    return found
