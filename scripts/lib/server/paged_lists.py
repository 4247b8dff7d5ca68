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
        """Yield the rows of a list, read in pages.

        Tator streams the answer to a GET, and if the last buffer of the stream is exactly full the list never ends,
        each time again, as it depends only on the length of the text. So the page is then requested in another way.

        Args:
            what: see classified.
            listed: the call, with the arguments `stop` and `after`.
            size: number of rows in a page.
            otherwise: a call with the same arguments that returns how many rows it requested, and the rows: by a PUT,
                whose answer is not streamed, or with fewer rows.
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
        """Return how many rows were requested, and the rows."""
        try:
            return part["stop"], classified(what, self.host, partial(listed, **part))
        except TimedOut as fault:
            _log.warning("%s; asking in another way", fault)
            return otherwise(**part)
