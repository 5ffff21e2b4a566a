"""The names under which this server may be asked.

A page of a foreign name that resolves to this server (DNS rebinding) gets nothing.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

_HOST = re.compile(rb"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]{1,255})(:\d{0,5})?")


def own_hosts(names: Iterable[str]) -> Callable[[bytes], bool]:
    """Whether the value of a Host header names this server, with or without a port.

    `names`: exact ones, of IPv6 addresses with or without brackets; `*.name` stands for subdomains.
    """
    lowered = [name.lower() for name in names if name]
    exact = frozenset(f"[{name}]" if ":" in name and name[0] != "[" else name for name in lowered)
    endings = tuple(name[1:] for name in lowered if name.startswith("*."))

    @lru_cache(maxsize=64)
    def is_own(header: bytes) -> bool:
        match = _HOST.fullmatch(header)
        if match is None:
            return False
        name = match[1].decode().lower()
        return name in exact or name.endswith(endings)

    return is_own
