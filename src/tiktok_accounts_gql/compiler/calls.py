"""How the resolvers of an operation are called: with arguments made once, straight where Strawberry puts nothing around them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from graphql import FragmentDefinitionNode, GraphQLField, GraphQLObjectType, GraphQLSchema, OperationDefinitionNode
from graphql.execution.values import VariableValues, get_argument_values
from graphql.pyutils import Path
from graphql.pyutils.is_awaitable import is_awaitable
from strawberry.types.arguments import convert_arguments
from strawberry.types.field import StrawberryField

from tiktok_accounts_gql.compiler.needs import UNKNOWN, Needs, PlannedInfo, Selected


class NotPlannable(Exception):
    """A plan cannot express this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What all resolvers of an operation are given."""

    schema: GraphQLSchema
    query: GraphQLObjectType
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDefinitionNode]

    @property
    def strawberry(self) -> Any:
        return self.schema._strawberry_schema  # type: ignore[attr-defined]  # noqa: SLF001 - as `strawberry.Info.schema` does


class Site:
    """One field of an operation, in one type. Raises NotPlannable."""

    def __init__(self, given: Given, parent: GraphQLObjectType, details: Selected, path: Path | None) -> None:
        self.given = given
        self.parent = parent
        self.node = details[0].node
        field: GraphQLField | None = parent.fields.get(self.node.name.value)
        definition = field and field.extensions.get("strawberry-definition")
        if field is None or not isinstance(definition, StrawberryField):  # introspection, for one
            raise NotPlannable
        self.field, self.definition = field, definition
        self.path = Path(path, (self.node.alias or self.node.name).value, parent.name)
        self.needs: Needs = UNKNOWN
        self._nodes = [detail.node for detail in details]

    @property
    def is_attribute(self) -> bool:
        return self.definition.is_basic_field and self.definition.default_resolver is getattr

    def info(self, context: Any, variables: VariableValues) -> PlannedInfo:
        info = PlannedInfo(
            field_name=self.node.name.value,
            field_nodes=self._nodes,
            return_type=self.field.type,
            parent_type=self.parent,
            path=self.path,
            schema=self.given.schema,
            fragments=self.given.fragments,
            root_value=None,
            operation=self.given.operation,
            variable_values=variables,
            context=context,
            is_awaitable=is_awaitable,
            abort_signal=None,
            async_helpers=None,  # type: ignore[arg-type]
        )
        info.needs = self.needs
        return info


class Call:
    """The call of a field's resolver. `row_name`: how the row is passed; "" as the first argument, None not at all.

    A bare one takes nothing but its row and its info.
    """

    def __init__(self, site: Site) -> None:
        resolver = site.definition.base_resolver
        names = {one.name for one in (resolver.parent_parameter, resolver.root_parameter) if one} if resolver else set()
        if resolver and resolver.self_parameter:
            names.add("")
        if len(names) > 1 or site.definition.extensions or site.given.strawberry.exception_handlers:
            resolver = None  # Strawberry does more than to pass arguments on
        info = resolver and resolver.info_parameter
        self.row_name: str | None = next(iter(names), None) if resolver else ""
        self.is_async = site.definition.is_async
        self.node_id = id(site.node)
        self._site = site
        self._is_wrapped = resolver is None
        self.function: Any = resolver.wrapped_func if resolver else site.field.resolve
        self.info_name = info.name if info else None
        self.is_bare = resolver is not None and not site.field.args

    def arguments(self, variables: VariableValues) -> dict[str, Any]:
        """As graphql-core coerces them and, but for wrapped resolvers, as Strawberry converts them. Raises GraphQLError."""
        coerced = get_argument_values(self._site.field, self._site.node, variables)
        if self._is_wrapped or not coerced:
            return coerced
        converter = self._site.given.strawberry.schema_converter
        return convert_arguments(coerced, self._site.definition.arguments, converter.scalar_registry, converter.config)

    def bound(self, arguments: dict[str, Any], context: Any, variables: VariableValues) -> Callable[..., Any]:
        """The resolver with all it takes but the row."""
        if self._is_wrapped:
            return partial(self.function, info=self._site.info(context, variables), **arguments)
        if self.info_name is None:
            return partial(self.function, **arguments)
        return partial(self.function, **arguments, **{self.info_name: self.info(context, variables)})

    def info(self, context: Any, variables: VariableValues) -> Any:
        """As Strawberry has it."""
        info_class = self._site.given.strawberry.config.info_class
        return info_class(_raw_info=self._site.info(context, variables), _field=self._site.definition)

    def ask(self, bound: Callable[..., Any], row: Any) -> Any:
        if self.row_name is None:
            return bound()
        return bound(**{self.row_name: row}) if self.row_name else bound(row)
