"""How large a document may be.

What is too large is refused before validation: some small documents stand for billions of fields, and validation takes
quadratic time for others.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    Token,
    TokenKind,
    parse,
)

from tiktok_accounts_gql.errors import ErrorCode
from tiktok_accounts_gql.execution.document_size import (
    MAX_COUNT,
    DefinitionSize,
    MergedSelections,
    measure_definitions,
)

# How the parser's message begins for a limit, as opposed to a syntax error. No text of a client's can come first.
_PARSER_LIMITS = ("Syntax Error: Document contains more than ", "Syntax Error: Document is nested too deeply")
_OPENING = frozenset({TokenKind.BRACE_L, TokenKind.BRACKET_L, TokenKind.PAREN_L})
_CLOSING = frozenset({TokenKind.BRACE_R, TokenKind.BRACKET_R, TokenKind.PAREN_R})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one operation may have with its fragments expanded. Tokens, characters and nesting are the whole document's."""

    depth: int = 12
    aliases: int = 30
    tokens: int = 1000
    directives: int = 50
    fields: int = 500
    repeats: int = 30
    # The standard introspection query is 15 fields deep because of the list and non-null wrappers around types. So what
    # is below `__schema` and `__type` has a limit of its own. Validation lets nothing but introspection stand there, and its
    # MaxIntrospectionDepthRule limits lists within lists, without which the answer would grow exponentially.
    introspection_depth: int = 20
    # Nested brackets of all kinds. Depth counts neither inline fragments nor lists and objects in arguments, but validation,
    # coercion and execution recurse into all of them, and share Python's 1,000 frames with everything around them.
    nesting: int = 50
    characters: int = 65_536


class ParsedDocument(NamedTuple):
    """A document within the limits, and how many tokens it has."""

    document: DocumentNode
    token_count: int


def parse_within_limits(query: str, limits: Limits) -> ParsedDocument:
    """Raise GraphQLError with the code GRAPHQL_PARSE_FAILED or LIMIT_EXCEEDED."""
    if len(query) > limits.characters:
        raise _limit_error(f"The query has {len(query)} characters; {limits.characters} are allowed.")
    document = _parse(query, limits)
    tokens: list[Token] = []
    token = document.loc.start_token if document.loc else None
    while token:
        tokens.append(token)
        token = token.next
    try:
        for violation in _find_violations(document, tokens, limits):
            raise _limit_error(violation)
    finally:
        # Tokens reference each other in cycles: an evicted document would stay in memory until a full garbage collection.
        for token in tokens:
            token.prev = token.next = None
    return ParsedDocument(document, len(tokens))


def to_client_error(error: GraphQLError, code: ErrorCode) -> GraphQLError:
    """Return the error with a code and without the exception behind it, for which it would be masked as the server's."""
    return GraphQLError(error.message, error.nodes, error.source, error.positions, extensions={"code": code.value})


def _parse(query: str, limits: Limits) -> DocumentNode:
    if "\0" in query:  # the parser accepts it in strings and comments, PostgreSQL accepts it nowhere
        raise GraphQLError("The query has a NUL character.", extensions={"code": ErrorCode.GRAPHQL_PARSE_FAILED.value})
    try:
        return parse(query, max_lexical_tokens=limits.tokens, max_comments=limits.tokens)
    except GraphQLSyntaxError as error:
        is_limit = error.message.startswith(_PARSER_LIMITS)
        client_error = to_client_error(error, ErrorCode.LIMIT_EXCEEDED if is_limit else ErrorCode.GRAPHQL_PARSE_FAILED)
    raise client_error  # outside of `except`, so that it does not reference the first error and its frames


def _find_violations(document: DocumentNode, tokens: Iterable[Token], limits: Limits) -> Iterator[str]:
    """Yield a sentence for each limit that is exceeded. Each check bounds the work of those after it."""
    nesting = _measure_nesting(tokens)
    if nesting > limits.nesting:
        yield f"The query has {nesting} brackets inside each other; {limits.nesting} are allowed."
    sizes = measure_definitions(document)
    for size in sizes:
        yield from _find_size_violations(size, limits)
    if any(size.in_cycle for size in sizes):
        return  # validation refuses it, by a rule that does not need these limits
    count, key = MergedSelections(document).find_most_repeated()
    if count > limits.repeats:
        yield f"The query selects {key} {count} times in one place; {limits.repeats} are allowed."


def _find_size_violations(size: DefinitionSize, limits: Limits) -> Iterator[str]:
    # A fragment may be meant for a place below `__schema`; where it stands in an operation, it is counted there.
    is_operation = isinstance(size.definition, OperationDefinitionNode)
    counts = (
        ("is {} levels deep", size.depth, limits.depth if is_operation else limits.introspection_depth),
        ("is {} levels deep in its introspection", size.introspection_depth, limits.introspection_depth),
        ("has {} aliases", size.aliases, limits.aliases),
        ("has {} directives", size.directives, limits.directives),
        ("has {} fields", size.fields, limits.fields),
    )
    for template, count, limit in counts:
        if count > limit:
            violation = template.format(count if count < MAX_COUNT else f"{MAX_COUNT} or more")
            yield f"The query {violation}; {limit} are allowed."


def _measure_nesting(tokens: Iterable[Token]) -> int:
    deepest = level = 0
    for token in tokens:
        level += (token.kind in _OPENING) - (token.kind in _CLOSING)
        deepest = max(deepest, level)
    return deepest


def _limit_error(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": ErrorCode.LIMIT_EXCEEDED.value})
