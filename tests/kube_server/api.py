"""The HTTPS server of the API: addresses, tokens, the log of requests, injected faults."""

import copy
import json
import re
import ssl
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from .errors import ApiError
from .objects import GROUP_VERSIONS, KINDS

if TYPE_CHECKING:
    from .cluster import Cluster

_PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/(?P<version>[^/]+))/namespaces/(?P<namespace>[^/]+)/(?P<plural>[a-z]+)"
    r"(?:/(?P<name>[^/]+))?(?:/(?P<sub>[a-z]+))?"
)
_SUBRESOURCES = {("pods", "log"), ("jobs", "status")}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 50


def serve(cluster: "Cluster", certificate: Path, key: Path) -> ThreadingHTTPServer:
    """Serve a cluster's API on a free port of loopback, with TLS."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # the cluster has its own log
            return

        def answer(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            entry: dict[str, Any] = {"method": self.command, "path": url.path, "user": None}
            headers: dict[str, str] = {}
            try:
                query = dict(urllib.parse.parse_qsl(url.query))
                entry["user"] = cluster.rbac.user(self.headers.get("Authorization") or "")
                code, content = _route(cluster, entry, query, json.loads(raw) if raw else {})
            except ApiError as error:
                code, content, headers = error.code, error.body(), error.headers
            entry["status"] = code
            cluster.requests.append(entry)
            text = isinstance(content, str)
            data = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain" if text else "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = answer

    server = _Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    Thread(target=server.serve_forever, daemon=True).start()
    return server


def _route(cluster: "Cluster", entry: dict[str, Any], query: dict[str, str], body: Any) -> tuple[int, Any]:
    found = _PATH.fullmatch(entry["path"])
    plural, group = (found["plural"], found["group"] or "") if found else ("", "")
    if not found or (group, plural) not in KINDS or (found["sub"] and (plural, found["sub"]) not in _SUBRESOURCES):
        raise ApiError(404, "NotFound", f"the server could not find the requested resource {entry['path']}")
    version = f"{group}/{found['version']}" if group else "v1"
    if version != GROUP_VERSIONS[group]:
        raise ApiError(404, "NotFound", f"the server has no {version}")
    namespace, name, sub = found["namespace"], found["name"], found["sub"]
    verb = {"POST": "create", "GET": "get" if name else "list", "DELETE": "delete" if name else "deletecollection"}.get(
        entry["method"], entry["method"].lower()
    )
    resource = f"{plural}/{sub}" if sub else plural
    entry |= {"verb": verb, "group": group, "resource": resource, "name": name}
    for fault in list(cluster.faults):
        fault(entry)
    cluster.rbac.authorize(entry["user"], verb, group, resource, namespace)
    with cluster.lock:
        if verb == "create":
            return 201, cluster.create(plural, namespace, {"apiVersion": version, "kind": KINDS[group, plural], **body})
        if verb == "list":
            return 200, cluster.listed(
                plural, namespace, query.get("labelSelector", ""), query.get("fieldSelector", "")
            )
        if verb == "get":
            item = cluster.objects.get(plural, namespace, name)
            return 200, cluster.log(item, query) if sub == "log" else copy.deepcopy(item)
        if verb == "delete":
            options = {**query, **(body or {})}
            return 200, cluster.delete(plural, cluster.objects.get(plural, namespace, name), **_options(options))
    raise ApiError(405, "MethodNotAllowed", f"the server does not allow {verb} here")


def _options(options: dict[str, Any]) -> dict[str, Any]:
    grace = options.get("gracePeriodSeconds")
    return {
        "propagation": options.get("propagationPolicy") or "Background",
        "grace": None if grace is None else float(grace),
    }
