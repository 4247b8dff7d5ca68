"""Errors that the server answers, in Tator's formats."""

# Message of the database's driver when its connection ends.
CONNECTION_CLOSED = (
    "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n"
    "\tbefore or while processing the request.\n"
)


class RefusedError(Exception):
    """A request that is not served; the JSON body holds `message` and, for status 400, `details`.

    Attributes:
        kept: whether the changes made before the failure are kept.
    """

    def __init__(self, message: str, *, status: int = 400, details: str = "None", kept: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.details = details
        self.kept = kept

    @property
    def body(self) -> dict[str, str]:
        """Return the JSON answer: Tator gives details with 400 only."""
        return {"message": str(self)} | ({"details": self.details} if self.status == 400 else {})


class MissingError(RefusedError):
    """An object that the server does not know: 404 with JSON."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"No {kind} matches the given query.", status=404)


class ForbiddenError(RefusedError):
    """A token without the needed permission: 403."""

    def __init__(self) -> None:
        super().__init__("You do not have permission to perform this action.", status=403)


class UnknownFieldError(Exception):
    """A name in `fields=` that no object has: a streamed list (GET) is empty, any other answer is a 500."""


class NotCoveredError(RefusedError):
    """A feature that Tator has and this server does not: 501."""

    def __init__(self, what: str) -> None:
        super().__init__(f"The stand-in server does not do {what}; a real Tator does.", status=501)
