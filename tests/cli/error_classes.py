"""Classes of errors with a message."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import walk_packages

import tiktok_accounts_gql
from tiktok_accounts_gql.errors import AppError, OperationError, RequestError
from tiktok_accounts_gql.tiktok.errors import TikTokError

BASES = (AppError, OperationError, RequestError, TikTokError)


def list_error_classes() -> list[type[AppError | TikTokError]]:
    """Return the classes that the whole package can raise, without their bases."""
    for module in walk_packages(tiktok_accounts_gql.__path__, "tiktok_accounts_gql."):
        if ".migrations" not in module.name:
            import_module(module.name)
    classes = [error for base in (AppError, TikTokError) for error in _list_subclasses(base) if error not in BASES]
    return [error for error in classes if error.__module__.startswith("tiktok_accounts_gql.")]  # type: ignore[misc]


def _list_subclasses(base: type[Exception]) -> Iterator[type[Exception]]:
    for subclass in base.__subclasses__():
        yield subclass
        yield from _list_subclasses(subclass)
