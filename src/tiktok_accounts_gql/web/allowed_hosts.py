"""Checks the Host header, so that a page of another host that resolves to this server (DNS rebinding) cannot call it."""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

_HOST = re.compile(rb"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]{1,255})(:\d{0,5})?")


def build_host_check(hosts: Iterable[str]) -> Callable[[bytes], bool]:
    """Return a function that tells whether the value of a Host header, with or without a port, is allowed.

    `hosts`: names and addresses, those of IPv6 with or without brackets; `*.name` stands for all subdomains.
    """
    names = [host.lower() for host in hosts if host]
    exact = frozenset(f"[{name}]" if ":" in name and name[0] != "[" else name for name in names)
    suffixes = tuple(name[1:] for name in names if name.startswith("*."))

    @lru_cache(maxsize=64)
    def is_allowed(header: bytes) -> bool:
        match = _HOST.fullmatch(header)
        if match is None:
            return False
        name = match[1].decode().lower()
        return name in exact or name.endswith(suffixes)

    return is_allowed
