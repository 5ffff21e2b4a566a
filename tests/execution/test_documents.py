"""What is valid is remembered, within bounds; what is offered depends on the environment."""

from collections import Counter
from typing import Any

import pytest
from graphql import (
    ASTValidationRule,
    DocumentNode,
    GraphQLError,
    ValidationContext,
    build_schema,
    get_introspection_query,
)

from tiktok_accounts_gql.execution.limits import Documents, Limits

SCHEMA = build_schema("""
    scalar Even
    type Query { number(n: Int, even: Even): Int user: User }
    type User { id: ID }
""")


def documents(**options: Any) -> Documents:
    return Documents(SCHEMA, Limits(), **({"introspection": True, "hide_suggestions": False} | options))


def is_kept(target: Documents, query: str) -> bool:
    return target.get(query) is target.get(query)


def messages(found: DocumentNode | list[GraphQLError]) -> list[str]:
    assert isinstance(found, list)
    assert all(error.extensions == {"code": "GRAPHQL_VALIDATION_FAILED"} for error in found)
    return [error.message for error in found]


def test_a_text_is_looked_at_once() -> None:
    looked: list[ValidationContext] = []

    class Spy(ASTValidationRule):
        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            looked.append(context)

    target = documents(rules=[Spy])
    assert target.get("{ number }") is target.get("{ number }")
    assert len(looked) == 1
    target.get("{ user { id } }")
    assert len(looked) == 2


def test_what_was_not_asked_for_longest_is_forgotten_first() -> None:
    target = documents(size=2)
    first = target.get("{ number }")
    second = target.get("{ n: number }")
    assert target.get("{ number }") is first
    target.get("{ m: number }")
    assert target.get("{ number }") is first
    assert target.get("{ n: number }") is not second


def test_memory_is_bounded() -> None:
    texts = [f"{{ a{i}: number }}" for i in range(100)]
    for memory, kept in ((0, 0), (50_000, 10), (10_000_000, 100)):
        target = documents(memory=memory)
        before = [target.get(text) for text in texts]
        again = [target.get(text) for text in reversed(texts)]
        same = sum(old is new for old, new in zip(before, reversed(again), strict=True))
        assert kept <= same <= kept * 2


def test_long_texts_are_not_kept() -> None:
    target = documents()
    text = "{ number }".ljust(16 * 1024)
    assert is_kept(target, text)
    assert not is_kept(target, text + " ")


def test_plans_are_made_once_and_let_go_with_their_documents() -> None:
    target, made = documents(memory=200_000), Counter[str]()

    def plan_of(query: str) -> Any:
        def make() -> object:
            made[query] += 1
            return object()

        target.get(query)
        return target.operation(query, None, make)

    first = plan_of("{ number }")
    assert plan_of("{ number }") is first
    assert plan_of("{ user { id } }") is not first
    assert plan_of("{ number }") is first
    for number in range(5):
        plan_of(f"{{ n{number}: number }}")
    assert plan_of("{ number }") is not first
    assert made["{ number }"] == 2


def test_nothing_is_kept_with_a_document_that_is_not_kept() -> None:
    target = documents()
    long = "{ number }".ljust(20_000)
    target.get(long)
    for text in (long, "{ unknown }"):
        assert target.operation(text, None, object) is not target.operation(text, None, object)


@pytest.mark.parametrize("query", ["{ unknown }", "{ number", "{" + " number" * 31 + " }"])
def test_invalid_documents_do_not_displace_valid_ones(query: str) -> None:
    target = documents(size=1)
    kept = target.get("{ number }")
    assert isinstance(target.get(query), list)
    assert target.get("{ number }") is kept


# As `useIntrospectionQuery` of GraphiQL 3.8 builds it, with every option on.
GRAPHIQL = (
    """
    query IntrospectionQuery {
      __schema {
        description queryType { name } mutationType { name } subscriptionType { name } types { ...FullType }
        directives { name description locations args(includeDeprecated: true) { ...InputValue } }
      }
    }
    fragment FullType on __Type {
      kind name description
      fields(includeDeprecated: true) {
        name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason
      }
      inputFields(includeDeprecated: true) { ...InputValue }
      interfaces { ...TypeRef }
      enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
      possibleTypes { ...TypeRef }
    }
    fragment InputValue on __InputValue {
      name description type { ...TypeRef } defaultValue isDeprecated deprecationReason
    }
    fragment TypeRef on __Type { kind name"""
    + " ofType { kind name" * 9
    + " }" * 10
)
EVERYTHING = get_introspection_query(
    specified_by_url=True,
    directive_is_repeatable=True,
    schema_description=True,
    input_value_deprecation=True,
    experimental_directive_deprecation=True,
    one_of=True,
)


@pytest.mark.parametrize(
    "query", [get_introspection_query(), EVERYTHING, GRAPHIQL], ids=["default", "everything", "GraphiQL"]
)
def test_introspection_is_answered_in_development_only(query: str) -> None:
    assert isinstance(documents().get(query), DocumentNode)
    *found, last = messages(documents(introspection=False).get(query))
    assert all("introspection has been disabled" in message for message in found)
    assert (len(found), last) == (20, "Too many validation errors, error limit reached. Validation aborted.")


def test_type_names_are_answered_everywhere() -> None:
    assert isinstance(documents(introspection=False).get("{ __typename user { __typename } }"), DocumentNode)


def test_suggestions_are_made_unless_they_are_hidden() -> None:
    assert "Did you mean 'number'?" in messages(documents().get("{ numbe }"))[0]
    assert "mean" not in messages(documents(hide_suggestions=True).get("{ numbe }"))[0]


def test_an_exception_in_a_scalar_is_the_clients_mistake() -> None:
    def parse_even(value: Any) -> int:
        raise ValueError(f"{value} is odd")

    schema = build_schema("scalar Even type Query { number(even: Even): Int }")
    even: Any = schema.type_map["Even"]
    even.coerce_input_value = even.parse_value = parse_even
    found = Documents(schema, Limits(), introspection=False, hide_suggestions=True).get("{ number(even: 3) }")
    assert "3 is odd" in messages(found)[0]
    assert isinstance(found, list)
    assert found[0].original_error is None  # what has one is masked as an unexpected error
    assert found[0].locations
