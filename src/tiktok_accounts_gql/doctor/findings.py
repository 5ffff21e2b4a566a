"""What checks find."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`mend` says what to do about what was found. Neither ever holds a secret."""

    state: State
    found: str
    mend: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A finding, by the name of what was looked at."""

    name: str
    finding: Finding


def ok(found: str) -> Finding:
    return Finding(state=State.OK, found=found)


def warning(found: str, mend: str) -> Finding:
    return Finding(state=State.WARNING, found=found, mend=mend)


def failed(found: str, mend: str) -> Finding:
    return Finding(state=State.FAILED, found=found, mend=mend)


def skipped(why: str) -> Finding:
    return Finding(state=State.SKIPPED, found=why)
