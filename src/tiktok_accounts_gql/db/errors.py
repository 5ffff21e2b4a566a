"""Errors of the database, and their translation from what SQLAlchemy and the two drivers raise."""

import sqlite3

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tiktok_accounts_gql.errors import ServiceUnavailable

_ROLLED_BACK_STATES = ("40P01", "40001")  # deadlock, serialization failure
# SQLSTATEs of a PostgreSQL that is unavailable, busy or full: connection, read-only standby, login, no such database,
# deadlock, resources, lock, shutdown. asyncpg does not raise OperationalError for them.
_UNAVAILABLE_STATES = ("08", "25006", "28", "3D", "40", "53", "55P03", "57")
_CONNECTION_LOST_MESSAGES = ("connection is closed", "another operation is in progress")
# A prepared statement exists already, or does not exist any more. PgBouncer also refuses transactions, by its message.
_LOST_STATEMENT_STATES = ("42P05", "26000")
_STATEMENT_POOLING_MESSAGE = "not allowed in statement pooling mode"


class Deadlocked(ServiceUnavailable):
    """PostgreSQL rolled the whole transaction back, so that a conflicting one could continue."""


class PreparedStatementsLost(ServiceUnavailable):
    """A pooler gives each transaction another connection, where prepared statements are missing or exist already.

    Its text is for operators; clients of the API get the message of any unavailable database.
    """

    problem = (
        "A pooler in front of PostgreSQL loses prepared statements, as PgBouncer before 1.21 does but in session mode."
    )
    fix = "Let ACCOUNTS_DATABASE_URL name PostgreSQL itself, or set the pooler's pool_mode to session."

    def __str__(self) -> str:
        return f"{self.problem} {self.fix}"


class translate_database_errors:  # noqa: N801 - a context manager, as contextlib.suppress; cheaper than a generator
    """Raises ServiceUnavailable for a database that is unavailable, busy or full; programming errors stay as they are."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        driver_error = error.orig if isinstance(error, DBAPIError) else error
        state = getattr(driver_error, "sqlstate", None)
        if state in _LOST_STATEMENT_STATES or _STATEMENT_POOLING_MESSAGE in str(driver_error):
            raise PreparedStatementsLost from error
        if _is_unavailable(error):
            raise (Deadlocked if state in _ROLLED_BACK_STATES else ServiceUnavailable) from error


def _is_unavailable(error: BaseException) -> bool:
    if isinstance(error, DBAPIError):
        cause = error.orig.__cause__ if isinstance(error, InterfaceError) and error.orig else error.orig
        is_unavailable = _is_driver_unavailable(cause, is_operational=isinstance(error, OperationalError))
        return error.connection_invalidated or is_unavailable
    if isinstance(error, (PoolTimeout, OSError)):  # of the socket: connection refused, unknown host, timeout
        return True
    return _is_driver_unavailable(error, is_operational=isinstance(error, sqlite3.OperationalError))


def _is_driver_unavailable(error: BaseException | None, *, is_operational: bool) -> bool:
    if is_operational:
        return getattr(error, "sqlite_errorname", None) != "SQLITE_ERROR"  # a programming error in a statement
    state = getattr(error, "sqlstate", None) or ""
    # A connection that breaks between asyncpg's steps may be left in a state where the next one cannot begin, which is an
    # InternalClientError. Other InterfaceErrors are programming errors: too many parameters, or one of another type.
    if isinstance(error, asyncpg.InterfaceError):
        return any(message in str(error) for message in _CONNECTION_LOST_MESSAGES)
    return isinstance(error, asyncpg.InternalClientError) or state.startswith(_UNAVAILABLE_STATES)
