"""The environment variables of proxies, whose addresses may contain a password."""

import re
from collections.abc import Mapping

# The variables with an address. Each may be in lower case instead, and then takes precedence, as in urllib.
WITH_ADDRESS = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")
EXCEPTIONS = "NO_PROXY"
VARIABLES = (*WITH_ADDRESS, EXCEPTIONS)
# A login with a character that ends the host of an address, so that part of a password is taken for the host or port.
UNQUOTED_LOGIN = re.compile(r"(?:[^/?#]*//)?+[^/?#]*[/?#].*@", re.DOTALL)


def spelling(name: str, environ: Mapping[str, str]) -> str:
    """Return how an environment spells a variable: in lower case if both spellings of a proxy's are set.

    Only one is passed to pods, since the executor's Secret does not distinguish between upper and lower case.
    """
    return name.lower() if name in VARIABLES and name.lower() in environ else name


def has_address(name: str) -> bool:
    """Return whether a variable has the address of a proxy."""
    return name.upper() in WITH_ADDRESS


def has_unquoted_login(address: str) -> bool:
    """Return whether a proxy's address has a login with `/`, `?` or `#`, which messages would repeat in part."""
    return UNQUOTED_LOGIN.match(address) is not None
