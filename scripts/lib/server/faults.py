"""The faults of a call to Tator: those that waiting may cure, those it cannot, and answers that were lost.

Waiting may cure connection faults, 5xx, answers that are not JSON, and Tator's way of throttling, a 400 whose text says
so.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests
from tator.exceptions import ApiException

from scripts.lib.errors import ServerError
from scripts.lib.server.sessions import TRUST, untrusted
from scripts.lib.token import VARIABLE, redact


class LostAnswer(Exception):
    """A write was sent and no usable answer came back: it may or may not have been carried out."""


class Transient(Exception):
    """A fault that waiting may cure; the text is fit for a log."""


class Throttled(Transient):
    """Tator refused the call for now, without carrying it out."""


class Unwell(ServerError):
    """The server failed for longer than `patience()`; the next call would too."""


class Refused(ServerError):
    """The server answered that it will not do this; waiting does not help."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def classified(what: str, host: str, call: Callable[[], Any]) -> Any:
    """Make a call and return its answer.

    Args:
        what: what the call is for, to begin an error with.
        host: the server's address.
        call: calls the client.

    Raises:
        Transient: waiting may help; Throttled where the server asks for it.
        ServerError: waiting does not help; Refused where that was the server's answer.
    """
    try:
        answer = call()
    except ApiException as error:
        raise _from_answer(what, host, int(error.status or 0), error.body or "") from None
    except requests.exceptions.HTTPError as error:  # only from fetching the schema
        status = error.response.status_code if error.response is not None else 0
        raise _from_answer(what, host, status, "no Tator schema at this address") from None
    except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
        raise ServerError(f"{what}: cannot use the address {host}: {_brief(str(error))}; see tator.host") from None
    except requests.exceptions.SSLError as error:
        if untrusted(error):
            raise ServerError(f"{what}: {urlsplit(host).netloc}: {_brief(str(error))}; {TRUST}") from None
        raise Transient(f"{what}: {urlsplit(host).netloc}: SSLError: {_brief(str(error))}") from None
    except requests.exceptions.RequestException as error:
        raise Transient(f"{what}: {urlsplit(host).netloc}: {type(error).__name__}: {_brief(str(error))}") from None
    if isinstance(answer, bytes | str):  # the client hands over what is not JSON as it is
        raise Transient(f"{what}: {urlsplit(host).netloc} answered something that is not JSON")
    return answer


def _from_answer(what: str, host: str, status: int, body: str) -> Exception:
    text = _brief(body)
    where = f"{what}: {host} answered {status}"
    if "throttled" in body[:500]:
        return Throttled(f"{where}: {text}")
    if status >= 500 or status in (0, 408, 429):
        return Transient(f"{where}: {text}")
    if "Invalid token" in body[:500] or "credentials were not provided" in body[:500]:
        remedy = f"set {VARIABLE} to a valid token of this site"
    elif status == 403:
        remedy = "give the token's user the rights: Can Edit to write, Can Transfer to download"
    elif status == 404:
        remedy = "check tator.host, tator.project_id and that the object still exists"
    else:
        remedy = "the request itself is not acceptable to this server"
    return Refused(status, f"{where}: {text}; {remedy}")


def _brief(text: str, limit: int = 300) -> str:
    """Cut an answer, which may echo the whole request, to what a log can bear."""
    line = redact(" ".join(text.split()))
    return line if len(line) <= limit else f"{line[:limit]} ..."
