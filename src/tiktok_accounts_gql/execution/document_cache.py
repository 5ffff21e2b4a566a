"""An LRU cache of valid documents by their text, with what is built for their operations."""

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, TypeVar

from graphql import (
    ASTValidationRule,
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    NoFragmentCyclesRule,
    NoSchemaIntrospectionCustomRule,
    specified_rules,
    validate,
)

from tiktok_accounts_gql.errors import ErrorCode
from tiktok_accounts_gql.execution.limits import Limits, parse_within_limits, to_client_error

T = TypeVar("T")

_MAX_ERRORS = 20
_MAX_CACHED_CHARACTERS = 16 * 1024
# Measured with graphql-core 3.3 on Python 3.11: tokens and nodes take at most 620 bytes for each token of the text; a
# character takes at most 4 bytes, in the text and once more in a token.
_BYTES_PER_TOKEN = 620
_BYTES_PER_CHARACTER = 8
_BYTES_PER_OPERATION = 64 * 1024  # with its plans and variables; and for each token as much as the document


@dataclass(slots=True)
class _CachedDocument:
    document: DocumentNode
    token_count: int
    weight: int  # bytes, estimated
    operations: dict[str | None, Any] = field(default_factory=dict)


class DocumentCache:
    """Parses, checks and validates documents, and caches the valid ones.

    Limited by number and by memory: 1,000 documents of 1,000 tokens would take 600 MB. Invalid documents are not cached:
    the limits bound what they cost, and a client that sends many of them must not evict the valid ones.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        limits: Limits,
        *,
        hide_suggestions: bool,
        introspection: bool,
        rules: Collection[type[ASTValidationRule]] = (),
        size: int = 1000,
        memory: int = 64 * 1024 * 1024,
    ) -> None:
        introspection_rules = () if introspection else (NoSchemaIntrospectionCustomRule,)
        self._schema = schema
        self._limits = limits
        self._rules = (*specified_rules, *introspection_rules, *rules)
        self._hide_suggestions = hide_suggestions
        self._size = size
        self._memory = memory
        self._entries: OrderedDict[str, _CachedDocument] = OrderedDict()
        self._weight = 0

    def find(self, query: str) -> DocumentNode | None:
        """Return the document if it is cached."""
        entry = self._entries.get(query)
        if entry is None:
            return None
        self._entries.move_to_end(query)
        return entry.document

    def load(self, query: str) -> DocumentNode | list[GraphQLError]:
        """Return the document, from the cache or a new one, or at least one error with a code."""
        cached = self.find(query)
        if cached is not None:
            return cached
        try:
            parsed = parse_within_limits(query, self._limits)
        except GraphQLError as error:
            return [error.with_traceback(None)]
        errors = self._validate(parsed.document)
        if errors:
            return [to_client_error(error, ErrorCode.GRAPHQL_VALIDATION_FAILED) for error in errors]
        if len(query) <= _MAX_CACHED_CHARACTERS:
            self._entries[query] = entry = _CachedDocument(parsed.document, parsed.token_count, 0)
            self._add_weight(entry, _BYTES_PER_CHARACTER * len(query) + _BYTES_PER_TOKEN * parsed.token_count)
        return parsed.document

    def get_or_build_operation(self, query: str, name: str | None, build: Callable[[], T]) -> T:
        """Return what was built for an operation of the document; build it if the document or it is not cached."""
        entry = self._entries.get(query)
        if entry is None:
            return build()
        if name not in entry.operations:
            entry.operations[name] = build()
            operation: T = entry.operations[name]
            self._add_weight(entry, _BYTES_PER_OPERATION + _BYTES_PER_TOKEN * entry.token_count)
            return operation
        cached: T = entry.operations[name]
        return cached

    def _validate(self, document: DocumentNode) -> list[GraphQLError]:
        # Cycles of fragments first: `limits.repeats` was not checked for them, without which other rules get slow.
        for rules in ((NoFragmentCyclesRule,), self._rules):
            errors = validate(self._schema, document, rules, _MAX_ERRORS, self._hide_suggestions)
            if errors:
                return errors
        return []

    def _add_weight(self, entry: _CachedDocument, weight: int) -> None:
        """Add to the weight of an entry, and evict the least recently used ones until the limits hold again."""
        entry.weight += weight
        self._weight += weight
        while len(self._entries) > self._size or self._weight > self._memory:
            _, evicted = self._entries.popitem(last=False)
            self._weight -= evicted.weight
