"""Refuse addresses that only this machine or its link can reach, unless the site has an address of the same kind.

With a presigned address or a redirect, a server could make this machine send requests to its local services or to the
cloud's metadata service. Private networks (such as 10.0.0.0/8) are allowed, as the stores of sites are there.
"""

import ipaddress
import socket
from typing import Literal
from urllib.parse import urlsplit

from scripts.lib.errors import ServerError

Kind = Literal["loopback", "link-local"]

# Metadata services of clouds outside the link-local range: AWS and Google over IPv6, Alibaba, Oracle, Azure.
_METADATA = {ipaddress.ip_address(text) for text in ("fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")}
# AWS's other local services, over IPv6; and all hosts on the link.
_AWS, _ALL = ipaddress.ip_network("fd00:ec2::/32"), ipaddress.ip_address("255.255.255.255")
# IPv6 addresses whose last 32 bits are an IPv4 address: NAT64, with the common and the local prefix, and SIIT.
_TRANSLATED = [ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96")]
_ISATAP = (0x00005EFE, 0x02005EFE)
# Names that a proxy could resolve to its local services or metadata service; without a proxy names are resolved here.
_LOCAL_NAMES = {
    **dict.fromkeys(
        ("ip6-localhost", "ip6-loopback", "localhost4", "localhost6", "localhost.localdomain"), "127.0.0.1"
    ),
    **dict.fromkeys(("metadata", "metadata.google.internal", "instance-data"), "169.254.169.254"),
}


class ForbiddenAddress(ServerError):
    """A server refers this machine to an address that is not allowed."""


def kind_of(address: str) -> Kind | None:
    """Return the kind of a local IP address; None for other addresses.

    Args:
        address: an IPv4 or IPv6 address; an IPv6 address may have a zone.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        embedded = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        translated = any(found in network for network in _TRANSLATED) or (int(found) >> 32) & 0xFFFFFFFF in _ISATAP
        if embedded is None and (translated or (int(found) >> 32 == 0 and int(found) > 1)):
            embedded = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if embedded is not None:
            kind = kind_of(str(embedded))
            return "link-local" if kind is None and found.is_link_local else kind
    if found.is_loopback or found.is_unspecified or (found.version == 4 and found in ipaddress.ip_network("0.0.0.0/8")):
        return "loopback"
    return "link-local" if found.is_link_local or found.is_multicast or _is_of_the_link(found) else None


def _is_of_the_link(found: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return found in _METADATA or found == _ALL or (found.version == 6 and found in _AWS)


def resolve(host: str, port: int | None = None) -> list[str]:
    """Return the IP addresses of a host name; an empty list if it cannot be resolved."""
    try:
        found = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def literal(host: str) -> str | None:
    """Return the IP address that a host is written as, also `2130706433` and `0x7f.1`; None for a name."""
    host = host.removesuffix(".")
    try:
        return str(ipaddress.ip_address(host.strip("[]").partition("%")[0]))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


class Guard:
    """The check of a site's connections: local addresses are refused, unless the site has one of the same kind."""

    def __init__(self, site: str) -> None:
        """Store the site's host.

        Args:
            site: address of the site, `https://HOST[:PORT]`, or `HOST[:PORT]`.
        """
        self._site = urlsplit(site if "//" in site else f"//{site}").hostname or ""

    def check(self, host: str, addresses: list[str]) -> None:
        """Check the addresses that a connection to `host` may use.

        Raises:
            ForbiddenAddress: an address is local, and no address of the site is of the same kind.
        """
        if host == self._site:
            return
        for address in addresses:
            kind = kind_of(address)
            if kind is not None and kind not in {kind_of(own) for own in resolve(self._site)}:
                raise ForbiddenAddress(
                    f"{self._site} sends this machine to {host}, whose address {address} is {kind}; expected an "
                    "address that other machines can reach: correct the store's or the redirect's address at the site"
                )

    def check_name(self, host: str) -> None:
        """Check a host that a proxy will resolve, by its spelling."""
        written = literal(host)
        known = "127.0.0.1" if _is_localhost(host) else _LOCAL_NAMES.get(host.rstrip(".").lower())
        self.check(host, [address for address in (written or known,) if address])


def is_this_machine(host: str) -> bool:
    """Return whether a host is `localhost` or a loopback address."""
    written = literal(host)
    return kind_of(written) == "loopback" if written else _is_localhost(host)


def _is_localhost(host: str) -> bool:
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")
