"""The environment variables of proxies, whose addresses may contain a password."""

from collections.abc import Mapping

# The variables with an address. Each may be in lower case instead, and then takes precedence, as in urllib.
WITH_ADDRESS = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
EXCEPTIONS = "NO_PROXY"
VARIABLES = (*WITH_ADDRESS, EXCEPTIONS)


def spelling(name: str, environ: Mapping[str, str]) -> str:
    """Return how an environment spells a variable: in lower case if both spellings of a proxy's are set.

    Only one is passed to pods, since the executor's Secret does not distinguish between upper and lower case.
    """
    return name.lower() if name in VARIABLES and name.lower() in environ else name


def has_address(name: str) -> bool:
    """Return whether a variable has the address of a proxy."""
    return name.upper() in WITH_ADDRESS
