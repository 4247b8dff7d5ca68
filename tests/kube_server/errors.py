"""Refusals of the API server."""

from typing import Any


class ApiError(Exception):
    """A Status that is not a success."""

    def __init__(self, code: int, reason: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.headers = code, reason, message, headers or {}

    def body(self) -> dict[str, Any]:
        """Return the Status object."""
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        return {**status, "message": self.message, "reason": self.reason, "code": self.code}


def invalid(message: str) -> ApiError:
    return ApiError(422, "Invalid", message)


def not_found(plural: str, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{plural} "{name}" not found')


def conflict(plural: str, name: str, deleted: bool = False) -> ApiError:
    prefix = "object is being deleted: " if deleted else ""
    return ApiError(409, "AlreadyExists", f'{prefix}{plural} "{name}" already exists')


def forbidden(message: str) -> ApiError:
    return ApiError(403, "Forbidden", message)
