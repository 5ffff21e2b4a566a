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

from tiktok_accounts_gql.execution.needs import UNKNOWN, Needs, PlannedInfo, Selected


class NotPlannable(Exception):
    """A plan cannot express this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What all resolvers of an operation are given."""

    schema: GraphQLSchema
    operation: OperationDefinitionNode
    fragments: dict[str, FragmentDefinitionNode]


class Site:
    """One field of an operation, in one type."""

    def __init__(self, given: Given, parent: GraphQLObjectType, details: Selected, path: Path | None) -> None:
        self.node = details[0].node
        self.name = self.node.name.value
        self.field: GraphQLField = _field(parent, self.name)
        self.definition = _definition(self.field)
        self.parent = parent
        self.path = Path(path, self.node.alias.value if self.node.alias else self.name, parent.name)
        self.needs: Needs = UNKNOWN
        self._nodes = [detail.node for detail in details]
        self._given = given

    @property
    def is_attribute(self) -> bool:
        definition = self.definition
        return definition.is_basic_field and definition.default_resolver is getattr and not self._is_caught

    def info(self, context: Any, variables: VariableValues) -> PlannedInfo:
        given = self._given
        info = PlannedInfo(
            field_name=self.name,
            field_nodes=self._nodes,
            return_type=self.field.type,
            parent_type=self.parent,
            path=self.path,
            schema=given.schema,
            fragments=given.fragments,
            root_value=None,
            operation=given.operation,
            variable_values=variables,
            context=context,
            is_awaitable=is_awaitable,
            abort_signal=None,
            async_helpers=None,  # type: ignore[arg-type]
        )
        info.needs = self.needs
        return info

    @property
    def _is_caught(self) -> bool:
        """Whether Strawberry turns exceptions of resolvers into values."""
        return bool(_strawberry(self._given.schema).exception_handlers)

    @property
    def is_wrapped(self) -> bool:
        """Whether Strawberry does more than passing arguments on."""
        resolver = self.definition.base_resolver
        if resolver is None or self.definition.extensions or self._is_caught:
            return True
        return len(_parents(self.definition)) > 1

    def convert(self, values: dict[str, Any]) -> dict[str, Any]:
        """From graphql-core's arguments to the resolver's own."""
        converter = _strawberry(self._given.schema).schema_converter
        return convert_arguments(values, self.definition.arguments, converter.scalar_registry, converter.config)


class Call:
    """Calls the resolver of a field; `parent` is how the row is passed: by a name, as the first (""), or not (None)."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.node_id = id(site.node)
        self.is_async = site.definition.is_async
        self.parent = "" if site.is_wrapped else next(iter(_parents(site.definition)), None)

    def values(self, variables: VariableValues) -> dict[str, Any]:
        """Arguments as graphql-core coerces them. Raises GraphQLError."""
        return get_argument_values(self.site.field, self.site.node, variables)

    def bound(self, values: dict[str, Any], info: PlannedInfo) -> Callable[..., Any]:
        """The resolver with all it takes but the row."""
        site, resolver = self.site, self.site.definition.base_resolver
        if resolver is None or site.is_wrapped:
            if site.field.resolve is None:
                raise NotPlannable
            return partial(site.field.resolve, info=info, **values)
        given = site.convert(values)
        if resolver.info_parameter:
            config = _strawberry(info.schema).config
            given[resolver.info_parameter.name] = config.info_class(_raw_info=info, _field=site.definition)
        function: Any = resolver.wrapped_func
        return partial(function, **given) if given else function

    def ask(self, bound: Callable[..., Any], row: Any) -> Any:
        if self.parent is None:
            return bound()
        return bound(**{self.parent: row}) if self.parent else bound(row)


def _field(parent: GraphQLObjectType, name: str) -> GraphQLField:
    field: GraphQLField | None = parent.fields.get(name)
    if field is None:  # introspection
        raise NotPlannable
    return field


def _definition(field: GraphQLField) -> StrawberryField:
    definition = field.extensions.get("strawberry-definition")
    if not isinstance(definition, StrawberryField):
        raise NotPlannable
    return definition


def _parents(definition: StrawberryField) -> set[str]:
    """The ways in which the row is passed: by these names, "" for the first place."""
    resolver = definition.base_resolver
    if resolver is None:
        return {""}
    named = {one.name for one in (resolver.parent_parameter, resolver.root_parameter) if one}
    return named | ({""} if resolver.self_parameter else set())


def _strawberry(schema: GraphQLSchema) -> Any:
    return schema._strawberry_schema  # type: ignore[attr-defined]  # noqa: SLF001 - as `strawberry.Info.schema` does
