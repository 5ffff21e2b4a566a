"""The filter of DBOS's log: one line without a traceback while the database is down, once in ten seconds."""

import logging
import traceback

import pytest
from sqlalchemy.exc import OperationalError

from tiktok_accounts_gql.logs import RepeatFilter

CONNECTION_REFUSED = OperationalError("SELECT 1", {}, Exception("connection refused\nIs the server running?"))


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logger(clock: Clock, caplog: pytest.LogCaptureFixture) -> logging.Logger:
    logger = logging.getLogger("dbos-test")
    logger.filters = [RepeatFilter(monotonic=clock)]
    return logger


def poll(logger: logging.Logger, error: Exception = CONNECTION_REFUSED) -> None:
    try:
        raise error
    except type(error):
        logger.warning("polling failed: %s", error, exc_info=True)


def test_a_database_that_is_down_is_one_line_without_a_traceback(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    poll(logger)
    assert caplog.messages == ["polling failed: (builtins.Exception) connection refused"]
    assert caplog.records[0].exc_info is None


def test_a_traceback_in_the_message_is_cut_off(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise CONNECTION_REFUSED
    except OperationalError:
        logger.warning(f"polling failed: {traceback.format_exc()}")  # noqa: G004 - as the engine does
    assert "\n" not in caplog.messages[0]


def test_repeated_records_are_counted_and_logged_once_in_ten_seconds(
    logger: logging.Logger, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    for _ in range(50):
        poll(logger)
    logger.warning("something else")
    assert len(caplog.messages) == 2
    clock.now += 10
    poll(logger)
    poll(logger)
    assert len(caplog.messages) == 3
    assert caplog.messages[2].endswith("(49 more since the last one)")


def test_an_unexpected_error_keeps_its_traceback(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        poll(logger, ValueError("a bug"))
    assert [record.exc_info is not None for record in caplog.records] == [True, True]
