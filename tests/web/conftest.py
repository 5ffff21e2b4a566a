"""A server of signing keys, and a clock that tests set."""

from collections.abc import Iterator

import pytest

from tests.web.provider import Clock, Provider, serving


@pytest.fixture(scope="module")
def key_server() -> Iterator[Provider]:
    with serving() as provider:
        yield provider


@pytest.fixture
def clock() -> Clock:
    return Clock()
