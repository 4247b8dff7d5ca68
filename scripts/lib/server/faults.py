"""The faults of a call to Tator: those that waiting may cure, those it cannot, and answers that were lost.

Tator answers 400 for every exception of its own, so the status alone tells nothing: what the answer says has to tell.
Waiting may cure connection faults, 5xx, answers that are not JSON, a 400 that says that requests are throttled, and a
400 with the words of a database or a cache that is away (`OUTAGE`). A 400 with the words of a check (`CHECKED`) will
stay one. Any other 400 is unexplained: it is tried a few times.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests
from tator.exceptions import ApiException

from scripts.lib import json_text
from scripts.lib.errors import ServerError
from scripts.lib.network_access.causes import innermost_cause
from scripts.lib.server import rights
from scripts.lib.server.outages import Outage
from scripts.lib.server.sessions import TRUST, untrusted
from scripts.lib.token import VARIABLE, redact


class LostAnswer(Exception):
    """A write was sent and no usable answer came back: it may or may not have been carried out.

    Attributes:
        under_way_until: the time, of `time.monotonic()`, until which the server may still be at it.
        outage: the notes on the server, where it as a whole is away; None where only this write is concerned.
    """

    def __init__(self, message: str, under_way_until: float = 0.0, outage: Outage | None = None) -> None:
        super().__init__(message)
        self.under_way_until = under_way_until
        self.outage = outage


class Transient(Exception):
    """A fault that waiting may cure; the text is fit for a log.

    Attributes:
        ended: whether the server is sure to have ended the request.
        of_server: whether the server as a whole is away, so that other calls would meet the fault too.
    """

    ended = False

    def __init__(self, message: str, *, of_server: bool = False) -> None:
        super().__init__(message)
        self.of_server = of_server


class Ended(Transient):
    """The server answered, or was never reached: it is not at work on the request any more."""

    ended = True


class NotReached(Ended):
    """No connection came about: nothing listens at the address, or its name is not known."""


class TimedOut(Transient):
    """No answer, or no more of one, came in time."""


class UnexplainedRefusal(Ended):
    """The server answered 400 for a reason that is not known: tried a few times.

    Attributes:
        refusal: what to raise in the end.
    """

    def __init__(self, refusal: "Refused") -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class Throttled(Ended):
    """Tator refused the call for now, without carrying it out."""


class ServerUnavailable(ServerError):
    """The server failed for longer than `patience()`; the next call would too."""


class Refused(ServerError):
    """The server answered that it will not do this; waiting does not help.

    In a job for one media it concerns that media, as far as anybody knows: others may be in other states.

    Attributes:
        status: of the answer.
        unexplained: whether it is a 400 whose reason is not known, so that it may be a fault that passes.
    """

    of_one_media = True

    def __init__(self, status: int, message: str, *, unexplained: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.unexplained = unexplained


# How the texts begin, or what stands in them, by which PostgreSQL, its driver, Redis and its client tell that they are
# away, overloaded or were interrupted. Recorded, but for some usual ones of the same programs.
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
# What Tator's own checks of a request say: asking again changes nothing.
CHECKED = re.compile(
    r"^(Request body validation|Query parameter) error|Safety check failed|does not exist|matches the given query"
    r"|must (be|match|specify|have|provide|start|only)|Invalid attribute|Missing (attribute|required)|is not valid"
    r"|^invalid literal|index out of range|badly formed|below minimum|above maximum|not allowed|already exists"
    r"|violates .{0,200} constraint|invalid input syntax|syntax error|Cannot (delete|resolve)|^Localization creation"
    r"|unsupported Unicode|placeholders|Valid (choices|values)|^'?\w+'?$|Expected |expected "
)


class Unusable(ServerError):
    """An answer has another form than Tator's interface says; asking again does not help.

    In a job for one media it concerns that media, as Refused does.
    """

    of_one_media = True


class TokenRefused(Refused):
    """The server knows the token no more: no media can be done."""

    of_one_media = False


def classified(what: str, host: str, call: Callable[[], Any], *, needs: str = rights.VIEW) -> Any:
    """Make a call and return its answer.

    Args:
        what: what the call is for, to begin an error with.
        host: the server's address.
        call: calls the client.
        needs: the right in the project that the call takes.

    Raises:
        Transient: waiting may help; Throttled where the server asks for it.
        ServerError: waiting does not help; Refused where that was the server's answer.
    """
    try:
        answer = call()
    except ApiException as error:
        raise _from_answer(what, host, int(error.status or 0), error.body or "", needs) from None
    except requests.exceptions.HTTPError as error:  # only from fetching the schema
        status = error.response.status_code if error.response is not None else 0
        raise _from_answer(what, host, status, "no Tator schema at this address", needs) from None
    except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
        raise ServerError(f"{what}: cannot use the address {host}: {_brief(str(error))}; see tator.host") from None
    except requests.exceptions.SSLError as error:
        if untrusted(error):
            raise ServerError(f"{what}: {urlsplit(host).netloc}: {_brief(innermost_cause(error))}; {TRUST}") from None
        text = f"{what}: {urlsplit(host).netloc}: SSLError: {_brief(innermost_cause(error))}"
        raise Transient(text, of_server=True) from None
    except requests.exceptions.RequestException as error:
        raise _of_connection(error)(
            f"{what}: {urlsplit(host).netloc}: {_brief(innermost_cause(error))}", of_server=True
        ) from None
    except (ValueError, RecursionError) as error:
        # JSON nested too deep, or with a number of more digits than Python reads.
        why = _brief(f"{type(error).__name__}: {error}")
        raise Unusable(f"{what}: {host} answered JSON that cannot be read ({why}); ask who runs the site") from None
    if isinstance(answer, bytes | str):  # the client hands over what is not JSON as it is
        raise Transient(f"{what}: {urlsplit(host).netloc} answered something that is not JSON", of_server=True)
    return answer


def _of_connection(error: requests.exceptions.RequestException) -> type[Transient]:
    """Return the fault that a failed connection is."""
    # requests keeps what urllib3 raised in its text alone; a name that is not known has a class of its own there.
    unsent = ("NewConnectionError", "NameResolutionError")
    if isinstance(error, requests.exceptions.ConnectTimeout) or any(name in str(error) for name in unsent):
        return NotReached
    # The client of a list that stops half-way calls it a connection error.
    timed_out = isinstance(error, requests.exceptions.Timeout) or "timed out" in str(error).lower()
    return TimedOut if timed_out else Transient


def _from_answer(what: str, host: str, status: int, body: str, needs: str) -> Exception:
    text = _brief(body)
    where = f"{what}: {host} answered {status}"
    if "throttled" in body[:500]:
        return Throttled(f"{where}: {text}")
    if status == 500:  # Tator's own, which it answers when the request has failed; a gateway has others
        return Ended(f"{where}: {text}")
    if status > 500 or status in (0, 408, 429):
        return Transient(f"{where}: {text}", of_server=status > 500)
    message = _message(body)
    if status == 400 and OUTAGE.search(message):
        return Ended(f"{where}: {text}", of_server=True)
    known = True
    if "Invalid token" in body[:500] or "credentials were not provided" in body[:500]:
        return TokenRefused(status, f"{where}: {text}; set {VARIABLE} to a valid token of this site")
    if status == 403:
        remedy = f"give the token's user the right {needs} in this project"
    elif status == 404:
        # With fine-grained permissions Tator hides what the user may not see.
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


# Letters of an answer that are redacted: some answers have megabytes, and what is shown is less by far.
_LOOKED_AT = 10_000


def _message(body: str) -> str:
    """Return what a refusal says, without the request, which its details may echo."""
    try:
        return str(json_text.parse(body)["message"])
    except (ValueError, TypeError, LookupError):
        return body[:500]


def _brief(text: str, limit: int = 300) -> str:
    """Cut an answer, which may echo the whole request, to what a log can bear."""
    line = redact(" ".join(text[:_LOOKED_AT].split()))
    return line if len(line) <= limit else f"{line[:limit]} ..."
