"""Logs by structlog: JSON in production, readable text in development. No headers or bodies: they may hold tokens."""

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

WEBSOCKETS_LOGGER = "websockets"
DBOS_LOGGER = "dbos"
QUIET_LOGGERS = (DBOS_LOGGER, "httpx", "httpcore", "aiosqlite", "asyncio", "alembic", WEBSOCKETS_LOGGER)
MAX_VALUE_LENGTH = 200
REPEAT_SECONDS = 10.0

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)  # added to every event of a request


def truncate(value: str | None) -> str | None:
    """Cut a value that clients choose to MAX_VALUE_LENGTH characters."""
    return value if value is None or len(value) <= MAX_VALUE_LENGTH else value[: MAX_VALUE_LENGTH - 1] + "…"


def configure_logs(environment: Environment, *, level: int = logging.INFO) -> None:
    """Configure structlog, and the standard library's loggers to the same format. Call it once per process."""
    shared: list[Any] = [
        _add_request_id,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers = _create_renderers(environment)
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
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    dbos = logging.getLogger(DBOS_LOGGER)
    dbos.handlers = [logging.NullHandler()]  # without a handler DBOS adds its own, which writes plain text
    dbos.propagate = True
    dbos.filters = [RepeatFilter()]


class RepeatFilter(logging.Filter):
    """Passes a record of each place in the code once in `interval` seconds, as one line without a traceback.

    DBOS logs a traceback at each attempt while the database is down. Errors that are not the database's always pass, with
    their traceback.
    """

    def __init__(self, *, interval: float = REPEAT_SECONDS, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._interval = interval
        self._monotonic = monotonic
        self._silent_until: dict[tuple[str, int], float] = {}
        self._dropped: Counter[tuple[str, int]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, DBAPIError):
            return True
        place, now = (record.pathname, record.lineno), self._monotonic()
        if now < self._silent_until.get(place, now):
            self._dropped[place] += 1
            return False
        self._silent_until[place] = now + self._interval
        record.msg, record.args, record.exc_info = record.getMessage().partition("\n")[0], None, None
        if dropped := self._dropped.pop(place, 0):
            record.msg += f" ({dropped} more since the last one)"
        return True


def _add_request_id(_logger: object, _method: str, event: EventDict) -> EventDict:
    if (current := request_id.get()) is not None:
        event["request_id"] = current
    return event


def _create_renderers(environment: Environment) -> list[Any]:
    if environment == "development":
        colors = sys.stderr.isatty()
        return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # a local may be a token
    return [
        structlog.processors.ExceptionRenderer(tracebacks),
        structlog.processors.JSONRenderer(serializer=_dump_json),
    ]


def _dump_json(event: Any, **options: Any) -> str:
    return orjson.dumps(event, default=options.get("default")).decode()
