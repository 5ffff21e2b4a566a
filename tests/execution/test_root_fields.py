"""The fields that an operation selects at its root."""

import pytest
from graphql import get_operation_ast, parse

from tiktok_accounts_gql.execution.root_fields import collect_root_fields


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("{ a }", {"a"}),
        ("{ b: a { c } __typename }", {"a", "__typename"}),
        ("{ ... { a ... on Query { b } } }", {"a", "b"}),
        ("{ ...F } fragment F on Query { a ...G } fragment G on Query { b { c } }", {"a", "b"}),
        ("{ ...F ...F ...G } fragment F on Query { a ...G } fragment G on Query { b }", {"a", "b"}),
        ("query Q($x: Boolean!) { a @skip(if: $x) ...F @include(if: $x) } fragment F on Query { b }", {"a", "b"}),
        ("query P { b } query Q { a }", {"a"}),
    ],
)
def test_fragments_are_expanded_and_nothing_below_the_root_is_collected(query: str, names: set[str]) -> None:
    document = parse(query)
    operation = get_operation_ast(document, "Q" if "query Q" in query else None)
    assert operation is not None
    assert collect_root_fields(document, operation) == names


def test_nested_fragments_are_visited_once() -> None:
    doubled = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(60))
    document = parse(f"{{ ...F0 }} {doubled} fragment F60 on Query {{ a }}")
    operation = get_operation_ast(document)
    assert operation is not None
    assert collect_root_fields(document, operation) == {"a"}
