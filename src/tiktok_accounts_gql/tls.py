"""Whom this process trusts when it asks others over TLS."""

import ssl
from functools import cache

import httpx


@cache
def trusted() -> ssl.SSLContext:
    """For every HTTP client alike: reading the certificates takes 25 ms of processor time."""
    return httpx.create_ssl_context()
