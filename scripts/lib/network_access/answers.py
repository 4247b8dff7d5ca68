"""Answers of servers, read with a limit: of bytes, counted after decompression, and of time."""

import time
from typing import Any
from urllib.parse import urlsplit

import requests

from scripts.lib.errors import ServerError

# The largest lists that are asked for take some 30 MB.
LARGEST_ANSWER = 2**27
# An error is cut to a sentence anyway.
LARGEST_ERROR = 2**20
# For a whole answer; the session's own time-outs are for a connection on which nothing comes.
ANSWER_SECONDS = 900.0

_PIECE = 2**16


class AnswerTooLarge(ServerError):
    """A server sends more than anything that is asked of it can be.

    Attributes:
        path: of the address that was asked for.
    """

    def __init__(self, url: str, fault: str) -> None:
        parts = urlsplit(url)
        super().__init__(
            f"{parts.netloc.rpartition('@')[2]} {fault}; expected a smaller answer: check the address, and ask who "
            "runs the server"
        )
        self.path = parts.path


class LimitedResponse(requests.Response):
    """A response whose content is read with a limit; one that is streamed is its reader's to bound."""

    limit = LARGEST_ANSWER
    _content: Any  # False until it is read
    _content_consumed: bool

    @property
    def content(self) -> bytes:
        """The whole body; of an error its first part.

        Raises:
            AnswerTooLarge: it is larger than `limit`, or takes longer than ANSWER_SECONDS.
        """
        if self._content is False and not self._content_consumed and self.raw is not None:
            self._content = self._read()
            self._content_consumed = True
        return super().content or b""

    def _read(self) -> bytes:
        is_error = self.status_code >= requests.codes.bad_request
        limit = min(LARGEST_ERROR, self.limit) if is_error else self.limit
        deadline = time.monotonic() + ANSWER_SECONDS
        content = bytearray()
        for piece in self.iter_content(_PIECE):
            content += piece
            if len(content) > limit:
                self.close()
                if is_error:
                    break
                raise AnswerTooLarge(self.url, f"sent more than {limit} bytes")
            if time.monotonic() > deadline:
                self.close()
                raise AnswerTooLarge(self.url, f"went on sending for {ANSWER_SECONDS:.0f} s")
        return bytes(content[:limit])
