"""The result of a check of `tiktok-accounts doctor`. No text of it ever holds a secret."""

from dataclasses import dataclass
from enum import StrEnum


class CheckState(StrEnum):
    """The outcome of a check. SKIPPED: what it needs has failed before it."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check saw, and how to fix it; None where there is nothing to fix."""

    state: CheckState
    message: str
    fix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """A finding with the name of its check."""

    name: str
    finding: Finding


def ok(message: str) -> Finding:
    return Finding(state=CheckState.OK, message=message)


def warning(message: str, fix: str) -> Finding:
    return Finding(state=CheckState.WARNING, message=message, fix=fix)


def failed(message: str, fix: str) -> Finding:
    return Finding(state=CheckState.FAILED, message=message, fix=fix)


def skipped(reason: str) -> Finding:
    return Finding(state=CheckState.SKIPPED, message=reason)
