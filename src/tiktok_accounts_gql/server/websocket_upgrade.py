"""Decides what becomes of HTTP requests that ask for an upgrade."""

from collections.abc import Collection

import httptools

from tiktok_accounts_gql.errors import BadUserInput, RequestError
from tiktok_accounts_gql.web.graphql_requests import MAX_HEADERS, HeadTooLarge

MAX_LINE_BYTES = 8192 - 64  # of the WebSocket library, less the method and the version

Headers = Collection[tuple[bytes, bytes]]


def find_upgrade_error(parser: httptools.HttpRequestParser, url: bytes, headers: Headers) -> RequestError | None:
    """Return why the request cannot become a WebSocket, or None."""
    lengths = [len(url), *(len(name) + len(value) for name, value in headers)]
    if parser.get_method() != b"GET" or parser.get_http_version() != "1.1":
        return BadUserInput("A WebSocket is opened by GET and HTTP/1.1.")
    if len(lengths) > MAX_HEADERS or max(lengths) > MAX_LINE_BYTES:
        return HeadTooLarge()
    return None


def encode_head_without_upgrade(parser: httptools.HttpRequestParser, url: bytes, headers: Headers) -> bytes:
    """Return the head of the request without the header Upgrade.

    The parser stops at a request with an upgrade, and would take its body for the next request.
    """
    version = parser.get_http_version().encode()
    lines = [name + b": " + value + b"\r\n" for name, value in headers if name != b"upgrade"]
    return b"".join([parser.get_method(), b" ", url, b" HTTP/", version, b"\r\n", *lines, b"\r\n"])
