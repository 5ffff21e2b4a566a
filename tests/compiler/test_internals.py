"""Which private or undocumented parts of graphql-core and Strawberry are used, and that one module alone uses them.

If a test here fails after an upgrade, read the library's changes, then adapt `compiler/internals.py` and these lists.
"""

import ast
from collections.abc import Callable, Iterator
from enum import Enum
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import strawberry
from graphql import GraphQLEnumType, GraphQLResolveInfo
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental
from strawberry.types.arguments import convert_arguments

import tiktok_accounts_gql
from tiktok_accounts_gql.compiler.internals import find_direct_resolver, find_field, get_graphql_schema

SOURCE = Path(tiktok_accounts_gql.__path__[0])
INTERNALS = SOURCE / "compiler" / "internals.py"

# graphql-core documents what is in `__all__` of these packages; Strawberry's documentation imports from these modules.
PUBLIC_PACKAGES = {"graphql", "graphql.execution", "graphql.pyutils", "graphql.type", "graphql.utilities"}
PUBLIC_MODULES = {
    "strawberry",
    "strawberry.extensions",
    "strawberry.schema.config",
    "strawberry.schema_directives",
}
PRIVATE_IMPORTS = {
    "graphql.execution.collect_fields.FieldDetails",
    "graphql.execution.collect_fields.FieldDetailsList",
    "graphql.execution.collect_fields.FragmentDetails",
    "graphql.execution.collect_fields.GroupedFieldSet",
    "graphql.execution.collect_fields.collect_fields",
    "graphql.execution.collect_fields.collect_subfields",
    "graphql.execution.executor_throwing_on_incremental.ExecutorThrowingOnIncremental",
    "strawberry.types.arguments.convert_arguments",
    "strawberry.types.base.StrawberryOptional",
    "strawberry.types.base.get_object_definition",
    "strawberry.types.enum.StrawberryEnumDefinition",
    "strawberry.types.field.StrawberryField",
    "strawberry.types.scalar.ScalarDefinition",
}
PRIVATE_NAMES = {
    "__strawberry_definition__",
    "_raw_info",
    "_strawberry_schema",
    "base_resolver",
    "default_resolver",
    "exception_handlers",
    "info_class",
    "info_parameter",
    "is_async",
    "is_basic_field",
    "parent_parameter",
    "python_name",
    "root_parameter",
    "scalar_registry",
    "schema_converter",
    "self_parameter",
    "strawberry-definition",
    "wrapped_cls",
    "wrapped_func",
}
PARAMETERS: dict[Callable[..., Any], str] = {
    FieldDetails: "node, defer_usage, fragment_variable_values=",
    FragmentDetails: "definition, variable_signatures=",
    collect_fields: "schema, fragments, variable_values, runtime_type, operation, hide_suggestions=, "
    "forbid_skip_and_include=, on_selection_set=",
    collect_subfields: "schema, fragments, variable_values, operation, return_type, field_details_list, hide_suggestions=",
    # CooperativeExecutor overrides these two.
    ExecutorThrowingOnIncremental.complete_awaitable_value: "self, return_type, field_details_list, info, path, result, "
    "position_context",
    ExecutorThrowingOnIncremental.execute_fields: "self, parent_type, source_value, path, grouped_field_set, "
    "position_context",
    # LookaheadInfo is constructed with all of them.
    GraphQLResolveInfo: "field_name, field_nodes, return_type, parent_type, path, schema, fragments, root_value, operation, "
    "variable_values, context, is_awaitable, abort_signal, async_helpers",
    convert_arguments: "value, arguments, scalar_registry, config, info=",
    strawberry.Info: "_raw_info, _field",
}


def list_imports(file: Path) -> Iterator[str]:
    """Yield the full names that a module imports from graphql-core and Strawberry, unless they are public."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if is_private(alias.name.partition(".")[0], alias.name))
        elif (
            isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ("graphql", "strawberry")
        ):
            yield from (f"{node.module}.{alias.name}" for alias in node.names if is_private(node.module, alias.name))


def is_private(module: str, name: str) -> bool:
    if module in PUBLIC_PACKAGES:
        return name != module and name not in import_module(module).__all__
    return module.startswith(("graphql", "strawberry")) and module not in PUBLIC_MODULES


def list_private_names(file: Path) -> Iterator[str]:
    """Yield the private attributes and keys that a module uses."""
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Attribute(attr=name) | ast.keyword(arg=str(name)) | ast.Constant(value=str(name)):
                if name in PRIVATE_NAMES:
                    yield name
                if name == "_schema" and isinstance(node, ast.Attribute) and ast.unparse(node.value) != "self":
                    yield "schema._schema"


def test_internals_uses_nothing_that_is_not_listed() -> None:
    assert set(list_imports(INTERNALS)) == PRIVATE_IMPORTS
    assert set(list_private_names(INTERNALS)) == PRIVATE_NAMES | {"schema._schema"}


@pytest.mark.parametrize("file", sorted({*SOURCE.rglob("*.py")} - {INTERNALS}), ids=lambda file: file.stem)
def test_no_other_module_uses_private_parts(file: Path) -> None:
    assert [*list_imports(file), *list_private_names(file)] == []


@pytest.mark.parametrize(
    ("function", "parameters"), PARAMETERS.items(), ids=lambda value: getattr(value, "__name__", "")
)
def test_the_parameters_are_those_that_we_pass(function: Callable[..., Any], parameters: str) -> None:
    names = [
        f"{parameter.name}{'' if parameter.default is parameter.empty else '='}"
        for parameter in signature(function).parameters.values()
    ]
    assert ", ".join(names) == parameters


def total(root: strawberry.Parent[object], info: strawberry.Info, plus: int = 0) -> int:
    del root, info
    return plus


@strawberry.enum
class Color(Enum):
    RED = "red"


@strawberry.type
class Query:
    name: str
    color: Color
    total: int = strawberry.field(resolver=total)

    @strawberry.field
    def size(self) -> int:
        return 1


def test_schemas_fields_and_resolvers_have_the_attributes_that_we_read() -> None:
    whole = strawberry.Schema(query=Query)
    schema = get_graphql_schema(whole)
    assert schema._strawberry_schema is whole  # type: ignore[attr-defined]
    assert list(whole.exception_handlers) == []
    assert whole.config.info_class is strawberry.Info
    assert whole.schema_converter.config is whole.config
    assert int in whole.schema_converter.scalar_registry
    assert schema.query_type
    name, sum_, size = (find_field(schema.query_type.fields[field]) for field in ("name", "total", "size"))
    assert name
    assert sum_
    assert size
    assert (name.is_basic_field, name.default_resolver, name.python_name, name.is_async) == (
        True,
        getattr,
        "name",
        False,
    )
    assert (dict(name.metadata), name.extensions, name.arguments) == ({}, [], [])
    assert name.base_resolver is None
    resolver = find_direct_resolver(schema, sum_)
    assert resolver
    assert (resolver.function, resolver.row_name, resolver.info_name) == (total, "root", "info")
    method = find_direct_resolver(schema, size)
    assert method
    assert (method.row_name, method.info_name) == ("", None)


def test_an_enum_has_its_python_class_and_a_definition() -> None:
    color = get_graphql_schema(strawberry.Schema(query=Query)).type_map["Color"]
    assert isinstance(color, GraphQLEnumType)
    assert color.wrapped_cls is Color  # type: ignore[attr-defined]
    assert [value.name for value in Color.__strawberry_definition__.values] == ["RED"]  # type: ignore[attr-defined]
