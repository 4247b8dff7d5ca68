"""Classify the faults of a call to Tator: transient ones, permanent ones, and lost answers.

Tator answers 400 for each of its exceptions, so the status is not enough and the message has to be read. Transient
faults are connection faults, 5xx, answers that are not JSON, a 400 that says that requests are throttled, and a 400
with the message of a database or a cache that is down (`OUTAGE`). A 400 with the message of a check (`CHECKED`) is
permanent. Any other 400 is unexplained: the call is tried a few times.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests
from tator.exceptions import ApiException

from scripts.lib.errors import ServerError
from scripts.lib.network_access.causes import innermost_cause
from scripts.lib.network_access.sessions import through_proxy
from scripts.lib.network_access.token import VARIABLE, redact
from scripts.lib.server import rights
from scripts.lib.server.outages import Outage
from scripts.lib.server.sessions import TRUST, untrusted
from scripts.lib.text import json_text


class LostAnswer(Exception):
    """A write was sent and there was no usable answer: it may or may not have been carried out.

    Attributes:
        under_way_until: the time, of `time.monotonic()`, until which the server may still carry out the write.
        outage: the notes about the server if the whole server is down; None if only this write failed.
    """

    def __init__(self, message: str, under_way_until: float = 0.0, outage: Outage | None = None) -> None:
        super().__init__(message)
        self.under_way_until = under_way_until
        self.outage = outage


class Transient(Exception):
    """A fault that may pass; the text contains no secret.

    Attributes:
        ended: whether the server has certainly ended the request.
        of_server: whether the whole server is down, so that other calls would fail too.
    """

    ended = False

    def __init__(self, message: str, *, of_server: bool = False) -> None:
        super().__init__(message)
        self.of_server = of_server


class Ended(Transient):
    """The server answered, or was never reached: it does not process the request any more."""

    ended = True


class NotReached(Ended):
    """There was no connection: nothing listens at the address, or the proxy's, or its name is unknown."""


class TimedOut(Transient):
    """The answer, or the rest of it, did not arrive in time."""


class UnexplainedRefusal(Ended):
    """The server answered 400 for an unknown reason; the call is tried a few times.

    Attributes:
        refusal: the exception to raise after the last try.
    """

    def __init__(self, refusal: "Refused") -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class Throttled(Ended):
    """Tator refused the call for now, without carrying it out."""


class ServerUnavailable(ServerError):
    """The server failed for longer than `patience()`; other calls would fail too."""


class Refused(ServerError):
    """The server refused the request; waiting does not help.

    In a job for one media it is assumed to concern that media only.

    Attributes:
        status: status of the answer.
        unexplained: whether it is a 400 for an unknown reason, which may be a transient fault.
    """

    of_one_media = True

    def __init__(self, status: int, message: str, *, unexplained: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.unexplained = unexplained


# Messages, or parts of messages, of PostgreSQL, its driver, Redis and its client when they are down, overloaded or
# interrupted. Most were recorded; the others are common messages of the same programs.
OUTAGE = re.compile(
    r"connection to server (at|on) |could not (connect|translate host name)|server closed the connection"
    r"|SSL (connection|SYSCALL)|(connection|cursor) already closed|the connection is (closed|lost)|connection not open"
    r"|(terminating|lost) .{0,200}connection|no connection to the server|connection (reset|timed out|refused)"
    r"|consuming input failed|could not (receive|send) data"
    r"|the database system is |too many (clients|connections)|remaining connection slots"
    r"|deadlock detected|could not (serialize|obtain lock)|canceling statement|lock timeout|statement timeout"
    r"|read-only transaction|out of (shared )?memory|No space left|could not (extend|write|open|read|fsync) "
    r"|query_wait_timeout|server login|pgbouncer|couldn't get a connection"
    r"|Error -?\d{1,9} (while )?(connecting to|writing to|reading from)|Connection closed by server"
    r"|Timeout (connecting|reading)"
    r"|Redis is (loading|busy)|LOADING|BUSY Redis|READONLY|MISCONF|MASTERDOWN|CLUSTERDOWN|TRYAGAIN"
    r"|max number of clients"
    r"|(Connection|Broken) (refused|reset|pipe)|Name or service not known|name resolution|timed out|Time-?out"
    r"|Max retries exceeded|Remote end closed",
    re.IGNORECASE,
)
# Messages of Tator's own checks of a request, which are permanent.
CHECKED = re.compile(
    r"^(Request body validation|Query parameter) error|Safety check failed|does not exist|matches the given query"
    r"|must (be|match|specify|have|provide|start|only)|Invalid attribute|Missing (attribute|required)|is not valid"
    r"|^invalid literal|index out of range|badly formed|below minimum|above maximum|not allowed|already exists"
    r"|violates .{0,200} constraint|invalid input syntax|syntax error|Cannot (delete|resolve)|^Localization creation"
    r"|unsupported Unicode|placeholders|Valid (choices|values)|^'?\w+'?$|Expected |expected "
)
# Messages about the token, or its user.
REFUSED_TOKEN = re.compile(r"Invalid token|credentials were not provided|User inactive")


class Unusable(ServerError):
    """An answer does not have the format of Tator's interface; repeating the call does not help.

    In a job for one media it concerns that media, as Refused does.
    """

    of_one_media = True


class TokenRefused(Refused):
    """The server does not accept the token any more: no media can be processed."""

    of_one_media = False


def classified(what: str, host: str, call: Callable[[], Any], *, needs: str = rights.VIEW) -> Any:
    """Make a call and return its answer.

    Args:
        what: the purpose of the call, with which messages begin.
        host: the server's address.
        call: function that makes the call with the client.
        needs: the right in the project that the call needs.

    Raises:
        Transient: the fault may pass; Throttled if the server throttles requests.
        ServerError: the fault is permanent; Refused if that was the server's answer.
    """
    try:
        answer = call()
    except ApiException as error:
        raise _from_answer(what, host, int(error.status or 0), error.body or "", needs) from None
    except requests.exceptions.HTTPError as error:  # raised only when the schema is requested
        status = error.response.status_code if error.response is not None else 0
        raise _from_answer(what, host, status, "no Tator schema at this address", needs) from None
    except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
        raise ServerError(f"{what}: cannot use the address {host}: {_brief(str(error))}; see tator.host") from None
    except requests.exceptions.SSLError as error:
        if untrusted(error):
            raise ServerError(f"{what}: {urlsplit(host).netloc}: {_brief(innermost_cause(error))}; {TRUST}") from None
        text = f"{what}: {urlsplit(host).netloc}{through_proxy(host)}: SSLError: {_brief(innermost_cause(error))}"
        raise Transient(text, of_server=True) from None
    except requests.exceptions.RequestException as error:
        text = f"{what}: {urlsplit(host).netloc}{through_proxy(host)}: {_brief(innermost_cause(error))}"
        raise _of_connection(error)(text, of_server=True) from None
    except (ValueError, RecursionError) as error:
        # JSON that is nested too deeply, or has a number with more digits than Python reads.
        why = _brief(f"{type(error).__name__}: {error}")
        raise Unusable(f"{what}: {host} answered JSON that cannot be read ({why}); ask who runs the site") from None
    if isinstance(answer, bytes | str):  # the client returns other content than JSON unchanged
        raise Transient(f"{what}: {urlsplit(host).netloc} answered something that is not JSON", of_server=True)
    return answer


def _of_connection(error: requests.exceptions.RequestException) -> type[Transient]:
    """Return the fault for a failed connection."""
    # requests keeps only the text of urllib3's error, which begins with the name of the class.
    unsent = ("NewConnectionError", "NameResolutionError")
    if isinstance(error, requests.exceptions.ConnectTimeout) or any(name in str(error) for name in unsent):
        return NotReached
    # requests reports a list that stops half-way as a connection error.
    timed_out = isinstance(error, requests.exceptions.Timeout) or "timed out" in str(error).lower()
    return TimedOut if timed_out else Transient


def _from_answer(what: str, host: str, status: int, body: str, needs: str) -> Exception:
    text = _brief(body)
    where = f"{what}: {host} answered {status}"
    if status == 429 or "throttled" in body[:500]:  # 429 without this word comes from a gateway
        return Throttled(f"{where}: {text}")
    if status == 500:  # Tator answers this after a request has failed; gateways answer other codes
        return Ended(f"{where}: {text}")
    if status > 500 or status in (0, 408):
        return Transient(f"{where}: {text}", of_server=status > 500)
    message = _message(body)
    if status == 400 and OUTAGE.search(message):
        return Ended(f"{where}: {text}", of_server=True)
    known = True
    if status == 401 or REFUSED_TOKEN.search(body[:500]):
        return TokenRefused(status, f"{where}: {text}; set {VARIABLE} to a valid token of this site")
    if status == 403:
        remedy = f"give the token's user the right {needs} in this project"
    elif status == 404:
        # With fine-grained permissions Tator hides objects that the user may not see.
        remedy = (
            "check tator.host, tator.project_id, that the object still exists, and that the token's user is a member "
            "of the project"
        )
    else:
        known = False
        remedy = "the request itself is not acceptable to this server"
    unexplained = status == 400 and not known and not CHECKED.search(message)
    refusal = Refused(status, f"{where}: {text}; {remedy}", unexplained=unexplained)
    return UnexplainedRefusal(refusal) if unexplained else refusal


# The largest number of characters of an answer to redact: some answers have megabytes, and far less is shown.
_REDACTED_CHARACTERS = 10_000


def _message(body: str) -> str:
    """Return a refusal's message, without the request, which its details may echo."""
    try:
        return str(json_text.parse(body)["message"])
    except (ValueError, TypeError, LookupError):
        return body[:500]


def _brief(text: str, limit: int = 300) -> str:
    """Shorten an answer, which may echo the whole request, for a log."""
    line = redact(" ".join(text[:_REDACTED_CHARACTERS].split()))
    return line if len(line) <= limit else f"{line[:limit]} ..."
