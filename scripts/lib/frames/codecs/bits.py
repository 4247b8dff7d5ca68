"""Read numbers from headers of coded video."""


class Bits:
    """Reads the bits of a header in order."""

    def __init__(self, content: bytes) -> None:
        self._bits = f"{int.from_bytes(content):0{8 * len(content)}b}" if content else ""
        self._place = 0

    def take(self, count: int) -> int:
        """Return an unsigned number of `count` bits; raise ValueError if fewer are left."""
        found = self._bits[self._place : self._place + count]
        if len(found) < count:
            raise ValueError("the header is too short")
        self._place += count
        return int(found, 2) if found else 0

    def number(self) -> int:
        """Return an unsigned Exp-Golomb number."""
        end = self._bits.find("1", self._place)
        if end < 0:
            raise ValueError("the header is too short")
        length = end - self._place
        self._place = end
        return self.take(length + 1) - 1

    def signed(self) -> int:
        """Return a signed Exp-Golomb number."""
        code = self.number()
        return (code + 1) // 2 if code % 2 else -(code // 2)
