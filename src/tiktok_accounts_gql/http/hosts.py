"""The names under which this server may be asked.

A page of a foreign name that resolves to this server (DNS rebinding) gets nothing.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

_HOST = re.compile(rb"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+)(:\d{0,5})?")
LONGEST = 255 + len(":65535")


class OwnHosts:
    """`names`: exact ones, of IPv6 addresses with or without brackets; `*.name` stands for subdomains."""

    def __init__(self, names: Iterable[str]) -> None:
        lowered = [name.lower() for name in names if name]
        self._exact = frozenset(f"[{name}]" if ":" in name and name[0] != "[" else name for name in lowered)
        self._endings = tuple(name[1:] for name in lowered if name.startswith("*."))
        self._is_own = lru_cache(maxsize=64)(self._find)

    def __contains__(self, header: bytes) -> bool:
        """`header`: the value of Host, with or without a port."""
        return len(header) <= LONGEST and self._is_own(header)

    def _find(self, header: bytes) -> bool:
        match = _HOST.fullmatch(header)
        if match is None:
            return False
        name = match[1].decode().lower()
        return name in self._exact or name.endswith(self._endings)
