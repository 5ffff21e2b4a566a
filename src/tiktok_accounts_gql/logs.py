"""Logs by structlog: JSON in production, for people in development. Never a token: nothing logs headers or bodies."""

import logging
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import orjson
import structlog
from sqlalchemy.exc import DBAPIError
from structlog.typing import EventDict

from tiktok_accounts_gql.setting_types import Environment

SOCKETS = "websockets"
JOB_ENGINE = "dbos"
QUIET = (JOB_ENGINE, "httpx", "httpcore", "aiosqlite", "asyncio", "alembic", SOCKETS)

LONGEST_VALUE = 200

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)  # every line of a request has it


def brief(value: str | None) -> str | None:
    """For what clients choose: so much of it that a line of log stays a line."""
    return value if value is None or len(value) <= LONGEST_VALUE else value[: LONGEST_VALUE - 1] + "…"


def configure_logs(environment: Environment, *, level: int = logging.INFO) -> None:
    """Once per process; the standard library's loggers go the same way."""
    shared: list[Any] = [
        _add_request_id,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers = _renderers(environment)
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    _tame(logging.getLogger(JOB_ENGINE))


class Brief(logging.Filter):
    """For a logger that says the same thing again and again: one line for each thing, and once in a while.

    A database that is away needs no traceback; whatever nobody expected keeps its own, each time.
    """

    def __init__(self, *, every: float = 10.0, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every = every
        self._monotonic = monotonic
        self._silent_until: dict[tuple[str, int], float] = {}
        self._left_out: Counter[tuple[str, int]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, DBAPIError):
            return True
        place, now = (record.pathname, record.lineno), self._monotonic()
        if now < self._silent_until.get(place, now):
            self._left_out[place] += 1
            return False
        self._silent_until[place] = now + self._every
        record.msg, record.args, record.exc_info = record.getMessage().partition("\n")[0], None, None
        if left_out := self._left_out.pop(place, 0):
            record.msg += f" ({left_out} more since the last one)"
        return True


def _add_request_id(_logger: object, _method: str, event: EventDict) -> EventDict:
    if (own := request_id.get()) is not None:
        event["request_id"] = own
    return event


def _tame(logger: logging.Logger) -> None:
    """The engine brings a handler of plain text of its own, unless it finds one."""
    logger.handlers, logger.propagate = [logging.NullHandler()], True
    logger.filters = [Brief()]


def _renderers(environment: Environment) -> list[Any]:
    if environment == "development":
        colors = sys.stderr.isatty()
        return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # a local may be a token
    return [structlog.processors.ExceptionRenderer(tracebacks), structlog.processors.JSONRenderer(serializer=_json)]


def _json(event: Any, **options: Any) -> str:
    return orjson.dumps(event, default=options.get("default")).decode()
