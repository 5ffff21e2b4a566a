"""The example in `compiler/README.md` is what the compiler generates, and the answer is what graphql-core gives."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest
import strawberry
from graphql import GraphQLObjectType, VariableValues, execute, get_operation_ast, get_variable_values, parse

import tiktok_accounts_gql.compiler
from tiktok_accounts_gql.compiler.codegen import CodeGenerator
from tiktok_accounts_gql.compiler.internals import (
    FieldDetailsList,
    GroupedFieldSet,
    collect_fields,
    collect_subfields,
    get_graphql_schema,
)
from tiktok_accounts_gql.compiler.plans import Plan
from tiktok_accounts_gql.compiler.resolver_calls import CompilationUnit

README = Path(tiktok_accounts_gql.compiler.__path__[0], "README.md").read_text()
SCHEMA, QUERY, *GENERATED, CONTEXT, ANSWER = re.findall(r"```\w+\n(.*?)```", README, re.DOTALL)
VARIABLES = {"first": 2}


@pytest.fixture
def example() -> Iterator[Any]:
    """Execute the README's Python as a module, because Strawberry looks up the names of annotations there."""
    module = ModuleType("readme_example")
    sys.modules[module.__name__] = module
    exec(SCHEMA + CONTEXT, module.__dict__)
    yield module
    del sys.modules[module.__name__]


def normalize(source: str) -> str:
    """Return the source without its formatting, which ruff changes in the README."""
    return ast.unparse(ast.parse(source))


async def test_the_readme_shows_what_is_generated_and_answered(example: Any) -> None:
    schema = get_graphql_schema(strawberry.Schema(query=example.Query))
    document = parse(QUERY)
    operation, root_type = get_operation_ast(document), schema.query_type
    assert operation
    assert root_type
    variables = get_variable_values(schema, operation.variable_definitions or (), VARIABLES)
    assert isinstance(variables, VariableValues)

    def collect(type_: GraphQLObjectType, details: FieldDetailsList) -> GroupedFieldSet:
        return collect_subfields(schema, {}, variables, operation, type_, details).grouped_field_set

    unit = CompilationUnit(schema=schema, root_type=root_type, operation=operation, fragments={})
    generator = CodeGenerator(unit, collect)
    plan = Plan(generator, collect_fields(schema, {}, variables, root_type, operation).grouped_field_set)
    sources = [generator.sources[index] for index in sorted(generator.sources)]
    assert [*map(normalize, sources)] == [*map(normalize, GENERATED)]

    arguments = plan.coerce_arguments(variables)
    answer = orjson.loads(await plan.execute(example.Context(), variables, arguments))
    assert answer == orjson.loads(ANSWER)

    reference: Any = execute(schema, document, variable_values=VARIABLES, context_value=example.Context())
    result = await reference
    assert answer == {"data": result.data}
    assert result.errors is None
