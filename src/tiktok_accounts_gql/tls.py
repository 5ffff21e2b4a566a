"""The TLS settings of all HTTP clients in this process."""

import ssl
from functools import cache

import httpx


@cache
def get_ssl_context() -> ssl.SSLContext:
    """Return the one context of this process: reading the certificates takes 25 ms of processor time."""
    return httpx.create_ssl_context()
