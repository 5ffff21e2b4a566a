"""Valid documents are cached within limits of number and memory; introspection and suggestions depend on the settings."""

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

from tiktok_accounts_gql.execution.document_cache import DocumentCache
from tiktok_accounts_gql.execution.limits import Limits

SCHEMA = build_schema("""
    scalar Even
    type Query { number(n: Int, even: Even): Int user: User }
    type User { id: ID }
""")


def new_cache(**options: Any) -> DocumentCache:
    return DocumentCache(SCHEMA, Limits(), **({"introspection": True, "hide_suggestions": False} | options))


def is_cached(cache: DocumentCache, query: str) -> bool:
    return cache.load(query) is cache.load(query)


def validation_messages(errors: DocumentNode | list[GraphQLError]) -> list[str]:
    assert isinstance(errors, list)
    assert all(error.extensions == {"code": "GRAPHQL_VALIDATION_FAILED"} for error in errors)
    return [error.message for error in errors]


def test_a_text_is_validated_once() -> None:
    validations: list[ValidationContext] = []

    class RecordingRule(ASTValidationRule):
        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            validations.append(context)

    cache = new_cache(rules=[RecordingRule])
    assert cache.load("{ number }") is cache.load("{ number }")
    assert len(validations) == 1
    cache.load("{ user { id } }")
    assert len(validations) == 2


def test_the_least_recently_used_document_is_evicted_first() -> None:
    cache = new_cache(size=2)
    first = cache.load("{ number }")
    second = cache.load("{ n: number }")
    assert cache.load("{ number }") is first
    cache.load("{ m: number }")
    assert cache.load("{ number }") is first
    assert cache.load("{ n: number }") is not second


def test_memory_is_limited() -> None:
    texts = [f"{{ a{i}: number }}" for i in range(100)]
    for memory, count in ((0, 0), (50_000, 10), (10_000_000, 100)):
        cache = new_cache(memory=memory)
        first = [cache.load(text) for text in texts]
        second = [cache.load(text) for text in reversed(texts)]
        cached = sum(document is again for document, again in zip(first, reversed(second), strict=True))
        assert count <= cached <= count * 2


def test_long_texts_are_not_cached() -> None:
    cache = new_cache()
    text = "{ number }".ljust(16 * 1024)
    assert is_cached(cache, text)
    assert not is_cached(cache, text + " ")


def test_operations_are_built_once_and_evicted_with_their_documents() -> None:
    cache, built = new_cache(memory=200_000), Counter[str]()

    def get_operation(query: str) -> Any:
        def build() -> object:
            built[query] += 1
            return object()

        cache.load(query)
        return cache.get_or_build_operation(query, None, build)

    first = get_operation("{ number }")
    assert get_operation("{ number }") is first
    assert get_operation("{ user { id } }") is not first
    assert get_operation("{ number }") is first
    for number in range(5):
        get_operation(f"{{ n{number}: number }}")
    assert get_operation("{ number }") is not first
    assert built["{ number }"] == 2


def test_operations_of_documents_that_are_not_cached_are_built_each_time() -> None:
    cache = new_cache()
    long = "{ number }".ljust(20_000)
    cache.load(long)
    for text in (long, "{ unknown }"):
        assert cache.get_or_build_operation(text, None, object) is not cache.get_or_build_operation(text, None, object)


@pytest.mark.parametrize("query", ["{ unknown }", "{ number", "{" + " number" * 31 + " }"])
def test_invalid_documents_do_not_evict_valid_ones(query: str) -> None:
    cache = new_cache(size=1)
    valid = cache.load("{ number }")
    assert isinstance(cache.load(query), list)
    assert cache.load("{ number }") is valid


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
ALL_OPTIONS = get_introspection_query(
    specified_by_url=True,
    directive_is_repeatable=True,
    schema_description=True,
    input_value_deprecation=True,
    experimental_directive_deprecation=True,
    one_of=True,
)


@pytest.mark.parametrize(
    "query", [get_introspection_query(), ALL_OPTIONS, GRAPHIQL], ids=["default", "all options", "GraphiQL"]
)
def test_introspection_is_answered_in_development_only(query: str) -> None:
    assert isinstance(new_cache().load(query), DocumentNode)
    *refusals, last = validation_messages(new_cache(introspection=False).load(query))
    assert all("introspection has been disabled" in message for message in refusals)
    assert (len(refusals), last) == (20, "Too many validation errors, error limit reached. Validation aborted.")


def test_type_names_are_answered_everywhere() -> None:
    assert isinstance(new_cache(introspection=False).load("{ __typename user { __typename } }"), DocumentNode)


def test_suggestions_are_made_unless_they_are_hidden() -> None:
    assert "Did you mean 'number'?" in validation_messages(new_cache().load("{ numbe }"))[0]
    assert "mean" not in validation_messages(new_cache(hide_suggestions=True).load("{ numbe }"))[0]


def test_an_exception_in_a_scalar_is_the_clients_error() -> None:
    def parse_even(value: Any) -> int:
        raise ValueError(f"{value} is odd")

    schema = build_schema("scalar Even type Query { number(even: Even): Int }")
    even: Any = schema.type_map["Even"]
    even.coerce_input_value = even.parse_value = parse_even
    cache = DocumentCache(schema, Limits(), introspection=False, hide_suggestions=True)
    errors = cache.load("{ number(even: 3) }")
    assert "3 is odd" in validation_messages(errors)[0]
    assert isinstance(errors, list)
    assert errors[0].original_error is None  # what has one is masked as an unexpected error
    assert errors[0].locations
