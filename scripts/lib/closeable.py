"""A base class for objects that are closed when their with-block ends."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Closeable(ABC):
    """An object that has to be closed; use it as a context manager."""

    @abstractmethod
    def close(self) -> None:
        """Release the object's resources; may be called again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
