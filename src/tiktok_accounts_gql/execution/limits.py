"""Which documents are accepted: within the limits and valid.

What is too large is refused before validation: some small documents stand for billions of fields, and validation is
quadratic in others.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from graphql import (
    ASTValidationRule,
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoFragmentCyclesRule,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    Token,
    TokenKind,
    parse,
    specified_rules,
    validate,
)

from tiktok_accounts_gql.errors import ErrorCode
from tiktok_accounts_gql.execution.counts import MOST, Count, Repeats, counted

# How the parser begins when it meets a limit and not a mistake. Nothing that a client writes can stand there.
_PARSER_LIMITS = ("Syntax Error: Document contains more than ", "Syntax Error: Document is nested too deeply")
_OPENING = frozenset({TokenKind.BRACE_L, TokenKind.BRACKET_L, TokenKind.PAREN_L})
_CLOSING = frozenset({TokenKind.BRACE_R, TokenKind.BRACKET_R, TokenKind.PAREN_R})

Kept = TypeVar("Kept")

_MOST_ERRORS = 20
_LONGEST_KEPT = 16 * 1024
# Measured with graphql-core 3.3 on Python 3.11: tokens and nodes take at most 620 bytes for each token of the text;
# a character takes up to 4 bytes, in the text and once more in a token.
_BYTES_PER_TOKEN = 620
_BYTES_PER_CHARACTER = 8
_BYTES_PER_PLAN = 64 * 1024  # and per token again as much as the document; with the variables that it remembers


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one operation may have, its fragments expanded. Tokens, characters and nesting are the whole document's."""

    depth: int = 12
    aliases: int = 30
    tokens: int = 1000
    directives: int = 50
    fields: int = 500
    repeats: int = 30
    # The standard introspection query is 15 fields deep because of the list and non-null wrappers around types. So what
    # is below `__schema` and `__type` has its own bound. Validation lets nothing but introspection stand there, and its
    # MaxIntrospectionDepthRule bounds the lists in each other, without which the answer would grow exponentially.
    introspection_depth: int = 20
    # Brackets of all kinds in each other. Depth sees neither inline fragments nor lists and objects in arguments, but
    # validation, coercion and execution recurse into all of them, and share 1,000 frames with everything around them.
    nesting: int = 50
    characters: int = 65_536


class Checked(NamedTuple):
    """A document within the limits, and how many tokens it has."""

    document: DocumentNode
    tokens: int


def parse_and_check(query: str, limits: Limits) -> Checked:
    """Raises GraphQLError with the code GRAPHQL_PARSE_FAILED or LIMIT_EXCEEDED."""
    if len(query) > limits.characters:
        raise _exceeded(f"The query has {len(query)} characters; {limits.characters} are allowed.")
    document = _parsed(query, limits)
    tokens = list(_tokens(document))
    try:
        for problem in _problems(document, tokens, limits):
            raise _exceeded(problem)
    finally:
        for token in tokens:  # or all that hangs on a document would wait for the collector when it is let go
            token.prev = token.next = None
    return Checked(document, len(tokens))


@dataclass(slots=True)
class _Kept:
    document: DocumentNode
    tokens: int
    weight: int
    operations: dict[str | None, Any] = field(default_factory=dict)


class Documents:
    """Knows what a query's text stands for, without a second look at those it was asked for lately.

    Bounded by number and by memory: 1,000 documents of 1,000 tokens would take 600 MB. Invalid documents are not kept:
    their cost is bounded by the limits, and a client that sends many of them must not displace the valid ones.
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
        hidden = () if introspection else (NoSchemaIntrospectionCustomRule,)
        self._schema = schema
        self._limits = limits
        self._rules = (*specified_rules, *hidden, *rules)
        self._hide_suggestions = hide_suggestions
        self._size = size
        self._memory = memory
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._used = 0

    def find(self, query: str) -> DocumentNode | None:
        """The document, if it was asked for lately."""
        kept = self._kept.get(query)
        if kept is None:
            return None
        self._kept.move_to_end(query)
        return kept.document

    def get(self, query: str) -> DocumentNode | list[GraphQLError]:
        """The document, or at least one error with a code."""
        known = self.find(query)
        if known is not None:
            return known
        try:
            document, tokens = parse_and_check(query, self._limits)
        except GraphQLError as error:
            return [error.with_traceback(None)]
        errors = self._errors(document)
        if errors:
            return [_clean(error, ErrorCode.GRAPHQL_VALIDATION_FAILED) for error in errors]
        self._keep(query, document, tokens)
        return document

    def operation(self, query: str, name: str | None, make: Callable[[], Kept]) -> Kept:
        """What is kept with a document about one of its operations, made if it is not there."""
        kept = self._kept.get(query)
        if kept is None:
            return make()
        if name not in kept.operations:
            kept.operations[name] = made = make()
            self._weigh(kept, _BYTES_PER_PLAN + _BYTES_PER_TOKEN * kept.tokens)
            return made
        found: Kept = kept.operations[name]
        return found

    def _errors(self, document: DocumentNode) -> list[GraphQLError]:
        # Circles of fragments first: how many fields meet in them is not known, and other rules get slow.
        for rules in ((NoFragmentCyclesRule,), self._rules):
            errors = validate(self._schema, document, rules, _MOST_ERRORS, self._hide_suggestions)
            if errors:
                return errors
        return []

    def _keep(self, query: str, document: DocumentNode, tokens: int) -> None:
        if len(query) > _LONGEST_KEPT:
            return
        self._kept[query] = kept = _Kept(document, tokens, 0)
        self._weigh(kept, _BYTES_PER_CHARACTER * len(query) + _BYTES_PER_TOKEN * tokens)

    def _weigh(self, kept: _Kept, weight: int) -> None:
        """Grows, and lets others go for it."""
        kept.weight += weight
        self._used += weight
        while len(self._kept) > self._size or self._used > self._memory:
            _, freed = self._kept.popitem(last=False)
            self._used -= freed.weight


def _parsed(query: str, limits: Limits) -> DocumentNode:
    if "\0" in query:  # the parser takes it in strings and comments, PostgreSQL takes it nowhere
        raise GraphQLError("The query has a NUL character.", extensions={"code": ErrorCode.GRAPHQL_PARSE_FAILED.value})
    try:
        return parse(query, max_lexical_tokens=limits.tokens, max_comments=limits.tokens)
    except GraphQLSyntaxError as error:
        limited = error.message.startswith(_PARSER_LIMITS)
        failure = _clean(error, ErrorCode.LIMIT_EXCEEDED if limited else ErrorCode.GRAPHQL_PARSE_FAILED)
    raise failure


def _problems(document: DocumentNode, tokens: Iterable[Token], limits: Limits) -> Iterator[str]:
    """What is too large, in sentences. Each bounds the work for those after it."""
    nesting = _nesting(tokens)
    if nesting > limits.nesting:
        yield f"The query has {nesting} brackets inside each other; {limits.nesting} are allowed."
    counts = counted(document)
    for count in counts:
        yield from _excesses(count, limits)
    if any(count.in_circle for count in counts):
        return  # validation refuses it, by a rule that does not need these bounds
    times, key = Repeats(document).most()
    if times > limits.repeats:
        yield f"The query selects {key} {times} times in one place; {limits.repeats} are allowed."


def _excesses(count: Count, limits: Limits) -> Iterator[str]:
    # A fragment may be meant for a place below `__schema`; where it stands in an operation, it is counted there.
    operation = isinstance(count.definition, OperationDefinitionNode)
    figures = (
        ("is {} levels deep", count.depth, limits.depth if operation else limits.introspection_depth),
        ("is {} levels deep in its introspection", count.introspection_depth, limits.introspection_depth),
        ("has {} aliases", count.aliases, limits.aliases),
        ("has {} directives", count.directives, limits.directives),
        ("has {} fields", count.fields, limits.fields),
    )
    for what, figure, limit in figures:
        if figure > limit:
            shown = what.format(figure if figure < MOST else f"{MOST} or more")
            yield f"The query {shown}; {limit} are allowed."


def _nesting(tokens: Iterable[Token]) -> int:
    deepest = level = 0
    for token in tokens:
        level += (token.kind in _OPENING) - (token.kind in _CLOSING)
        deepest = max(deepest, level)
    return deepest


def _tokens(document: DocumentNode) -> Iterator[Token]:
    token = document.loc.start_token if document.loc else None
    while token:
        yield token
        token = token.next


def _exceeded(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": ErrorCode.LIMIT_EXCEEDED.value})


def _clean(error: GraphQLError, code: ErrorCode) -> GraphQLError:
    """The client's mistake with its code. The exception behind it is left out: it would be masked as the server's."""
    return GraphQLError(error.message, error.nodes, error.source, error.positions, extensions={"code": code.value})
