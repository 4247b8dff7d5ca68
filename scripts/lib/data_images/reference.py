"""Parse names of container images."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from scripts.lib.errors import SettingsError

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# Docker's default tag.
NO_TAG = "latest"
# The value of docker.auth.INDEX_NAME, whose import takes longer than the rest of this module.
DOCKER_HUB = "docker.io"
_HOST = r"(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::\d+)?/"
_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<repository>(?:{_HOST})?{_PART}(?:/{_PART})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?(?:@(?P<digest>\S+))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Image:
    """An image that was found.

    Attributes:
        digest: the image's digest in a registry; None for an image that was never in a registry.
        image_id: the digest of the image's configuration.
        labels: the image's labels, by name.
    """

    digest: str | None
    image_id: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Reference:
    """A container image's name.

    Attributes:
        repository: the name without tag and digest, with the registry's host if given.
        tag: the tag; `latest` if none is given.
        digest: the pinned digest, `sha256:...`, or None.
    """

    repository: str
    tag: str
    digest: str | None = None

    @classmethod
    def parse(cls, text: str, digest: str | None = None) -> "Reference":
        """Parse `[HOST/]NAME[:TAG][@sha256:DIGEST]`; `digest` is a digest that is set separately.

        Raises:
            SettingsError: the name or a digest is malformed, or the two digests differ.
        """
        found = _REFERENCE.fullmatch(text)
        if not found:
            raise SettingsError(
                f"image {text!r}: expected [HOST[:PORT]/]NAME[:TAG][@sha256:DIGEST], the name in lower case"
            )
        own = found["digest"]
        for one in (own, digest):
            if one and not DIGEST.fullmatch(one):
                raise SettingsError(f"image {text!r}: digest {one!r}; expected sha256: and 64 hexadecimal digits")
        if own and digest and own != digest:
            raise SettingsError(
                f"image {text!r} is pinned to another digest than network.digest ({digest}); expected one: delete one"
            )
        return cls(found["repository"], found["tag"] or NO_TAG, own or digest)

    @property
    def tagged(self) -> str:
        """The name with its tag."""
        return f"{self.repository}:{self.tag}"

    @property
    def registry(self) -> str:
        """The registry's host with its port; by default Docker Hub."""
        first, slash, _ = self.repository.partition("/")
        written = slash and ("." in first or ":" in first or first == "localhost")
        return first if written else DOCKER_HUB

    @property
    def api_host(self) -> str:
        """The host of the registry's API."""
        return f"registry-1.{self.registry}" if self.registry == DOCKER_HUB else self.registry

    @property
    def path(self) -> str:
        """The name within the registry."""
        return self.repository.removeprefix(f"{self.registry}/")

    @property
    def full_name(self) -> tuple[str, str]:
        """The registry and the name in it, without the `library` of Docker Hub, to compare short and long names."""
        return self.registry, self.path.removeprefix("library/")

    def at(self, digest: str) -> str:
        """Return the name with a digest."""
        return f"{self.repository}@{digest}"

    def __str__(self) -> str:
        # A name with a digest needs no tag, and an image `latest` may not exist.
        if self.digest and self.tag == NO_TAG:
            return self.at(self.digest)
        return self.tagged + (f"@{self.digest}" if self.digest else "")
