"""What the server answers instead of a result, in Tator's shapes."""

# What the driver of a database says when its connection ends.
CONNECTION_CLOSED = (
    "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally\n"
    "\tbefore or while processing the request.\n"
)


class RefusedError(Exception):
    """A request that is not served; the JSON body holds `message` and, for status 400, `details`.

    Attributes:
        kept: what the request did before it failed stays done.
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
    """A token that may not do this: 403."""

    def __init__(self) -> None:
        super().__init__("You do not have permission to perform this action.", status=403)


class UnknownFieldError(Exception):
    """A name in `fields=` that no object has: a streamed list (GET) ends before it begins, any other is a 500."""


class NotCoveredError(RefusedError):
    """Something that Tator does and this server does not: it says so instead of guessing."""

    def __init__(self, what: str) -> None:
        super().__init__(f"The stand-in server does not do {what}; a real Tator does.", status=501)
