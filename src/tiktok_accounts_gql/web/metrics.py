"""Metrics of this process for Prometheus. None of them has a label that identifies a viewer."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.requests import Request
from starlette.responses import Response

from tiktok_accounts_gql.crypto import SecretLocation
from tiktok_accounts_gql.execution.engine import ExecutionReason
from tiktok_accounts_gql.services.failures import FailureKind
from tiktok_accounts_gql.web.list_cache import CacheOutcome

_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The metrics of one application; each application of a process has its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        operations = Counter(
            "accounts_operations",
            "GraphQL operations, by what answered them and why.",
            ["path", "reason"],
            registry=self._registry,
        )
        self._operations = {reason: operations.labels(reason.path, reason.value) for reason in ExecutionReason}
        lookups = Counter(
            "accounts_list_cache_lookups",
            "GraphQL requests, by whether their answer was kept.",
            ["outcome"],
            registry=self._registry,
        )
        self._lookups = {outcome: lookups.labels(outcome.value) for outcome in CacheOutcome}
        self._unreadable = Counter(
            "accounts_sealed_values_unreadable",
            "Sealed values that did not open when they were needed, by where they are stored.",
            ["table", "column"],
            registry=self._registry,
        )
        failures = Counter(
            "accounts_background_failures",
            "What failed in the background: items of loops, rounds of work, and tasks that were started again.",
            ["kind"],
            registry=self._registry,
        )
        self._failures = {kind: failures.labels(kind.value) for kind in FailureKind}
        self._durations = Histogram(
            "accounts_request_duration_seconds",
            "From an HTTP request to the beginning of its answer.",
            buckets=_BUCKETS_SECONDS,
            registry=self._registry,
        )

    def count_operation(self, reason: ExecutionReason) -> None:
        self._operations[reason].inc()

    def count_lookup(self, outcome: CacheOutcome) -> None:
        self._lookups[outcome].inc()

    def count_unreadable(self, place: SecretLocation) -> None:
        self._unreadable.labels(place.table, place.column).inc()

    def count_failure(self, kind: FailureKind) -> None:
        self._failures[kind].inc()

    def observe_request(self, seconds: float) -> None:
        self._durations.observe(seconds)

    async def page(self, request: Request) -> Response:
        del request
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)
