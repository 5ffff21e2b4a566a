"""Every use of private or undocumented parts of graphql-core and Strawberry. No other module imports or names them.

`tests/compiler/test_internals.py` lists these parts with their parameters, and fails when an upgrade removes or changes
one of them.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import strawberry
from graphql import GraphQLEnumType, GraphQLField, GraphQLInputObjectType, GraphQLResolveInfo, GraphQLSchema
from graphql.execution.collect_fields import (
    FieldDetails,
    FieldDetailsList,
    FragmentDetails,
    GroupedFieldSet,
    collect_fields,
    collect_subfields,
)
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental
from strawberry.types.arguments import convert_arguments
from strawberry.types.base import StrawberryOptional, get_object_definition
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField
from strawberry.types.scalar import ScalarDefinition

__all__ = [
    "DirectResolver",
    "ExecutorThrowingOnIncremental",
    "FieldDetails",
    "FieldDetailsList",
    "FragmentDetails",
    "GroupedFieldSet",
    "ScalarDefinition",
    "StrawberryField",
    "collect_fields",
    "collect_subfields",
    "convert_field_arguments",
    "find_attribute",
    "find_direct_resolver",
    "find_field",
    "get_enum_definition",
    "get_graphql_schema",
    "get_info_class",
    "get_resolve_info",
    "is_async",
    "is_input_value",
    "is_read_by_getattr",
    "list_basic_fields",
    "list_directives",
    "list_enum_members",
]

_DEFINITION = "strawberry-definition"  # the key in graphql-core's `extensions`


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectResolver:
    """A resolver that is called without Strawberry's wrapper, and the names of the parameters that Strawberry fills.

    `row_name` is "" where the row is the first positional argument, and None where the resolver takes none.
    """

    function: Callable[..., Any]
    row_name: str | None
    info_name: str | None


def get_graphql_schema(schema: strawberry.Schema) -> GraphQLSchema:
    return schema._schema  # noqa: SLF001


def find_field(field: GraphQLField) -> StrawberryField | None:
    """Return Strawberry's definition of a field, or None for fields of introspection."""
    definition = field.extensions.get(_DEFINITION)
    return definition if isinstance(definition, StrawberryField) else None


def find_attribute(field: StrawberryField) -> str | None:
    """Return the name of the row's attribute that is the field's value, or None for a field with a resolver."""
    return field.python_name if field.is_basic_field else None


def is_read_by_getattr(field: StrawberryField) -> bool:
    """Return whether the field is an attribute that no other default resolver of the schema's reads."""
    return field.is_basic_field and field.default_resolver is getattr


def is_async(field: StrawberryField) -> bool:
    return field.is_async


def find_direct_resolver(schema: GraphQLSchema, field: StrawberryField) -> DirectResolver | None:
    """Return None where Strawberry does more than pass arguments on: without a resolver, or with extensions around it."""
    resolver = field.base_resolver
    if resolver is None or field.extensions or _strawberry_schema(schema).exception_handlers:
        return None
    names = {parameter.name for parameter in (resolver.parent_parameter, resolver.root_parameter) if parameter}
    if resolver.self_parameter:
        names.add("")
    if len(names) > 1:
        return None
    function: Any = resolver.wrapped_func
    info = resolver.info_parameter
    return DirectResolver(
        function=function,
        row_name=next(iter(names), None),
        info_name=info.name if info else None,
    )


def convert_field_arguments(schema: GraphQLSchema, field: StrawberryField, arguments: dict[str, Any]) -> dict[str, Any]:
    """Convert what graphql-core coerced, by names of the contract, to what the resolver takes, by names in Python."""
    converter = _strawberry_schema(schema).schema_converter
    return convert_arguments(arguments, field.arguments, converter.scalar_registry, converter.config)


def get_info_class(schema: GraphQLSchema) -> Callable[[GraphQLResolveInfo[Any], StrawberryField], Any]:
    """Return what makes a `strawberry.Info` out of graphql-core's info and the field."""
    info_class: Callable[[GraphQLResolveInfo[Any], StrawberryField], Any] = _strawberry_schema(schema).config.info_class
    return info_class


def get_resolve_info(info: strawberry.Info[Any, Any]) -> GraphQLResolveInfo[Any]:
    return info._raw_info  # noqa: SLF001


def list_basic_fields(type_: object) -> list[str]:
    """Return the Python names of an object type's fields without a resolver. `type_`: `Info.return_type`, optional or not."""
    object_type = type_.of_type if isinstance(type_, StrawberryOptional) else type_
    fields = get_object_definition(object_type, strict=True).fields
    return [field.python_name for field in fields if field.is_basic_field]


def list_directives(type_: GraphQLInputObjectType) -> Iterable[object]:
    """Return the schema directives that an input type was declared with."""
    return getattr(type_.extensions.get(_DEFINITION), "directives", None) or ()


def list_enum_members(type_: GraphQLEnumType) -> Collection[Any]:
    """Return the members of the Python enum behind a GraphQL enum."""
    return list(getattr(type_, "wrapped_cls", ()))


def get_enum_definition(enum: Any) -> StrawberryEnumDefinition:
    """Return the definition that `strawberry.enum` attached. Raise AttributeError without one."""
    definition: StrawberryEnumDefinition = enum.__strawberry_definition__
    return definition


def is_input_value(value: object) -> bool:
    """Return whether a value is an instance of a Strawberry type with a `__dict__`, such as an input."""
    return hasattr(type(value), "__strawberry_definition__") and hasattr(value, "__dict__")


def _strawberry_schema(schema: GraphQLSchema) -> Any:
    return schema._strawberry_schema  # type: ignore[attr-defined]  # noqa: SLF001
