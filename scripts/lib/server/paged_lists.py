"""Read Tator's lists in pages."""

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
    """The project's calls that read lists in pages."""

    host: str

    @abstractmethod
    def _read(self, what: str, call: Callable[[], Any]) -> Any: ...

    def _at_once(self, what: str, by_id: Callable[..., Any]) -> Callable[..., tuple[int, Any]]:
        return lambda stop, **start: (stop, classified(what, self.host, partial(by_id, stop=stop, **start)))

    def _by_pages(
        self,
        what: str,
        listed: Callable[..., Any],
        size: int,
        fallback: Callable[..., tuple[int, Any]],
        *,
        leave_out_odd: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Yield the rows of a list, read in pages.

        Tator streams the answer to a GET request. If the last buffer of the stream is exactly full, the answer never
        ends, in each try, as this depends only on the length of the text. So the page is then requested by `fallback`.

        Args:
            what: the purpose of the call, for messages.
            listed: the call, with the arguments `stop` and `after`.
            size: number of rows in a page.
            fallback: a call with the same arguments that returns the number of requested rows, and the rows: by a PUT
                request, whose answer is not streamed, or with fewer rows.
            leave_out_odd: whether a row without a usable id is left out and logged; otherwise such a row is an error.
        """
        last = 0
        while True:
            start = {"after": last} if last else {}
            requested, page = self._read(what, partial(self._page, what, listed, fallback, stop=size, **start))
            with rows.used_for(what):
                found = rows.listed(what, page) if leave_out_odd else values.array(page, "it")
                ids = [rows.identifier(row) for row in found]
            if len(page) >= requested and (not ids or ids[0] <= last or ids != sorted(ids)):
                raise ServerError(f"{what}: Tator lists them in another order than by id; expected one of 1.0 or newer")
            yield from ({**row, "id": number} for row, number in zip(found, ids, strict=True))
            if len(page) < requested:
                return
            last = ids[-1]

    def _page(
        self, what: str, listed: Callable[..., Any], fallback: Callable[..., tuple[int, Any]], **part: int
    ) -> tuple[int, Any]:
        """Return the number of requested rows, and the rows."""
        try:
            return part["stop"], classified(what, self.host, partial(listed, **part))
        except TimedOut as fault:
            _log.warning("%s: the list did not end; requesting it by another call", fault)
            return fallback(**part)
