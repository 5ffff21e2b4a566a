"""The fields that an operation selects and the calls of their resolvers, without Strawberry's wrapper where it adds nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphql import (
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    VariableValues,
    get_argument_values,
)
from graphql.pyutils import Path, is_awaitable

from tiktok_accounts_gql.compiler.internals import (
    FieldDetailsList,
    convert_field_arguments,
    find_direct_resolver,
    find_field,
    get_info_class,
    is_async,
    is_read_by_getattr,
)
from tiktok_accounts_gql.compiler.lookahead import UNKNOWN, Lookahead, LookaheadInfo


class CompileError(Exception):
    """An operation cannot be compiled; graphql-core executes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompilationUnit:
    """What is compiled: one operation of a document, against a schema."""

    schema: GraphQLSchema
    root_type: GraphQLObjectType
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDefinitionNode]


class SelectedField:
    """A field that a selection set selects on one object type. Raises CompileError for fields of introspection."""

    def __init__(
        self, unit: CompilationUnit, parent: GraphQLObjectType, details: FieldDetailsList, path: Path | None
    ) -> None:
        self.unit = unit
        self.parent = parent
        self.node = details[0].node
        field: GraphQLField | None = parent.fields.get(self.node.name.value)
        definition = find_field(field) if field else None
        if field is None or definition is None:
            raise CompileError
        self.field, self.definition = field, definition
        self.path = Path(path, (self.node.alias or self.node.name).value, parent.name)
        self.lookahead: Lookahead = UNKNOWN
        self._nodes = [selection.node for selection in details]

    @property
    def name(self) -> str:
        return self.node.name.value

    @property
    def is_attribute(self) -> bool:
        return is_read_by_getattr(self.definition)

    @property
    def is_awaited(self) -> bool:
        return is_async(self.definition) and not self.is_attribute

    def build_info(self, context: Any, variables: VariableValues) -> LookaheadInfo:
        info = LookaheadInfo(
            field_name=self.node.name.value,
            field_nodes=self._nodes,
            return_type=self.field.type,
            parent_type=self.parent,
            path=self.path,
            schema=self.unit.schema,
            fragments=self.unit.fragments,
            root_value=None,
            operation=self.unit.operation,
            variable_values=variables,
            context=context,
            is_awaitable=is_awaitable,
            abort_signal=None,
            async_helpers=None,  # type: ignore[arg-type]
        )
        info.lookahead = self.lookahead
        return info


class ResolverCall:
    """The call of a field's resolver.

    `row_name` is "" where the row is the first positional argument, and None where the resolver takes no row.
    `takes_arguments`: the field has arguments, or Strawberry's wrapper is called, which takes the info by keyword.
    """

    def __init__(self, selected: SelectedField) -> None:
        resolver = find_direct_resolver(selected.unit.schema, selected.definition)
        self.row_name = resolver.row_name if resolver else ""
        self.info_name = resolver.info_name if resolver else None
        self.function: Any = resolver.function if resolver else selected.field.resolve
        self.is_awaited = is_async(selected.definition)
        self.node_id = id(selected.node)
        self.takes_arguments = resolver is None or bool(selected.field.args)
        self._selected = selected
        self._is_wrapped = resolver is None
        self._info_class = get_info_class(selected.unit.schema)

    def coerce_arguments(self, variables: VariableValues) -> dict[str, Any]:
        """Return the arguments by the names of the resolver's parameters. Raise GraphQLError for invalid ones.

        Strawberry's wrapper converts them by itself.
        """
        coerced = get_argument_values(self._selected.field, self._selected.node, variables)
        if self._is_wrapped or not coerced:
            return coerced
        return convert_field_arguments(self._selected.unit.schema, self._selected.definition, coerced)

    def bind(self, arguments: dict[str, Any], context: Any, variables: VariableValues) -> Callable[..., Any]:
        """Return the resolver with all its arguments but the row."""
        if self._is_wrapped:
            return partial(self.function, info=self._selected.build_info(context, variables), **arguments)
        if self.info_name is None:
            return partial(self.function, **arguments)
        return partial(self.function, **arguments, **{self.info_name: self.build_info(context, variables)})

    def build_info(self, context: Any, variables: VariableValues) -> Any:
        """Return the `strawberry.Info` that the resolver takes."""
        return self._info_class(self._selected.build_info(context, variables), self._selected.definition)

    def invoke(self, resolver: Callable[..., Any], row: Any) -> Any:
        """Call a bound resolver. Return its value, or an awaitable if it is asynchronous."""
        if self.row_name is None:
            return resolver()
        return resolver(**{self.row_name: row}) if self.row_name else resolver(row)
