"""Logs by structlog: JSON in production, for people in development. Never a token: nothing logs headers or bodies."""

import logging
from typing import Any

import orjson
import structlog

from tiktok_accounts_gql.settings import Environment

SOCKETS = "websockets"
QUIET = ("dbos", "httpx", "httpcore", "aiosqlite", "asyncio", "alembic", SOCKETS)


def configure_logs(environment: Environment, *, level: int = logging.INFO) -> None:
    """Once per process; the standard library's loggers go the same way."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(environment)],
    )
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _renderers(environment: Environment) -> list[Any]:
    if environment == "development":
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # a local may be a token
    return [structlog.processors.ExceptionRenderer(tracebacks), structlog.processors.JSONRenderer(serializer=_json)]


def _json(event: Any, **options: Any) -> str:
    return orjson.dumps(event, default=options.get("default")).decode()
