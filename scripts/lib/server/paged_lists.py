"""Lists of Tator, asked for by pages."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from scripts.lib.errors import ServerError
from scripts.lib.server import rows, values
from scripts.lib.server.faults import TimedOut, classified

_log = logging.getLogger(__name__)


class PagedLists(ABC):
    """The part of a project's calls that lists by pages."""

    host: str

    @abstractmethod
    def _read(self, what: str, call: Callable[[], Any]) -> Any: ...

    def _at_once(self, what: str, by_id: Callable[..., Any]) -> Callable[..., tuple[int, Any]]:
        return lambda stop, **begun: (stop, classified(what, self.host, partial(by_id, stop=stop, **begun)))

    def _by_pages(
        self,
        what: str,
        listed: Callable[..., Any],
        size: int,
        otherwise: Callable[..., tuple[int, Any]],
        *,
        leave_out_odd: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of a list by pages.

        Tator streams what a GET asks for, and where the last buffer of the stream is exactly full the list never ends:
        the same each time, as it depends on the length of the text alone. So the page is then asked for otherwise.

        Args:
            what: see classified.
            listed: the call; takes `stop` and `after`.
            size: rows of a page.
            otherwise: takes the same, and returns how many rows it asked for, and those that came: by a PUT, whose
                answer is not streamed, or less of the list.
            leave_out_odd: leave out a row without a usable id, and log it; otherwise such a row is an error.
        """
        last = 0
        while True:
            begun = {"after": last} if last else {}
            asked, page = self._read(what, partial(self._page, what, listed, otherwise, stop=size, **begun))
            with rows.used_for(what):
                found = rows.listed(what, page) if leave_out_odd else values.array(page, "it")
                ids = [rows.identifier(row) for row in found]
            if len(page) >= asked and (not ids or ids[0] <= last or ids != sorted(ids)):
                raise ServerError(f"{what}: Tator lists them in another order than by id; expected one of 1.0 or newer")
            yield from ({**row, "id": number} for row, number in zip(found, ids, strict=True))
            if len(page) < asked:
                return
            last = ids[-1]

    def _page(
        self, what: str, listed: Callable[..., Any], otherwise: Callable[..., tuple[int, Any]], **part: int
    ) -> tuple[int, Any]:
        """Return how many rows were asked for, and those that came."""
        try:
            return part["stop"], classified(what, self.host, partial(listed, **part))
        except TimedOut as fault:
            _log.warning("%s; asking in another way", fault)
            return otherwise(**part)
