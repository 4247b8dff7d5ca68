"""Read answers of servers with a limit of bytes, counted after decompression, and of time."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests

from scripts.lib.errors import ServerError
from scripts.lib.network_access.timed_responses import TimedResponse, TookTooLong

# The largest requested lists have about 30 MB.
LARGEST_ANSWER = 2**27
# Error messages are shortened later.
LARGEST_ERROR = 2**20

_PIECE = 2**16


class AnswerTooLarge(ServerError):
    """A server sends more than any valid answer.

    Attributes:
        path: the path of the requested address.
    """

    def __init__(self, url: str, fault: str) -> None:
        parts = urlsplit(url)
        super().__init__(
            f"{parts.netloc.rpartition('@')[2]} {fault}; expected a smaller answer: check the address, and ask who "
            "runs the server"
        )
        self.path = parts.path


class LimitedResponse(requests.Response):
    """A response whose content is read with a limit; for a streamed response the caller limits what is read."""

    limit = LARGEST_ANSWER
    _content: Any  # False until the content is read
    _content_consumed: bool

    @property
    def content(self) -> bytes:
        """The whole body; for an error response its first part.

        Raises:
            AnswerTooLarge: the body is larger than `limit`, or takes longer than ANSWER_SECONDS (timed_responses.py).
        """
        if self._content is False and not self._content_consumed and self.raw is not None:
            self._content = self._read()
            self._content_consumed = True
        return super().content or b""

    def _read(self) -> bytes:
        is_error = self.status_code >= requests.codes.bad_request
        limit = min(LARGEST_ERROR, self.limit) if is_error else self.limit
        content = bytearray()
        try:
            for piece in self.iter_content(_PIECE):
                content += piece
                if len(content) > limit:
                    self.close()
                    if is_error:
                        break
                    raise AnswerTooLarge(self.url, f"sent more than {limit} bytes")
        except TookTooLong as error:
            self.close()
            raise AnswerTooLarge(self.url, str(error)) from None
        except requests.RequestException:
            self.close()  # requests would read the rest of a redirect without a limit
            raise
        return bytes(content[:limit])


def pieces(answer: requests.Response, size: int, *, decoded: bool = False) -> Iterator[bytes]:
    """Yield the body of a streamed answer as it arrives; each piece has its own deadline.

    Args:
        answer: a response of a `Session`.
        size: the largest number of bytes in a piece.
        decoded: whether to decode the body according to the header Content-Encoding.

    Raises:
        AnswerTooLarge: for ANSWER_SECONDS no byte of the body arrived.
        urllib3.exceptions.HTTPError: the connection breaks.
    """
    source = answer.raw._original_response
    try:
        while True:
            if isinstance(source, TimedResponse):
                source.renew()
            piece = answer.raw.read1(size, decode_content=decoded)
            if not piece:
                return
            yield piece
    except TookTooLong as error:
        answer.close()
        raise AnswerTooLarge(answer.url, str(error)) from None
