"""Builds the schema."""

from collections.abc import Iterable, Mapping

import strawberry
from graphql import GraphQLArgument, GraphQLInputField, GraphQLInputObjectType, GraphQLObjectType, GraphQLSchema
from graphql.pyutils import Undefined
from graphql.type import is_introspection_type, is_specified_scalar_type
from graphql.utilities import print_type
from strawberry.schema.config import StrawberryConfig
from strawberry.schema_directives import OneOf

from tiktok_accounts_gql.compiler.internals import get_graphql_schema, list_directives
from tiktok_accounts_gql.compiler.result_coercion import PASSTHROUGH
from tiktok_accounts_gql.schema.accounts import TikTokAccount
from tiktok_accounts_gql.schema.audit import AuditEventType
from tiktok_accounts_gql.schema.jobs import SyncJobType, SyncResultType
from tiktok_accounts_gql.schema.mutation import Mutation
from tiktok_accounts_gql.schema.nodes import ViewerType
from tiktok_accounts_gql.schema.query import Query
from tiktok_accounts_gql.schema.scalars import PASSTHROUGHS, create_scalars
from tiktok_accounts_gql.schema.subscription import Subscription


def create_schema() -> GraphQLSchema:
    """Return the schema for graphql-core, with resolvers by Strawberry."""
    config = StrawberryConfig(scalar_map=create_scalars())
    types = [TikTokAccount, AuditEventType, SyncJobType, SyncResultType, ViewerType]
    strawberry_schema = strawberry.Schema(
        query=Query, mutation=Mutation, subscription=Subscription, types=types, config=config
    )
    schema = get_graphql_schema(strawberry_schema)
    for inputs in _list_inputs(schema):
        for input_ in inputs.values():
            # Without a default a resolver gets the default of its Python parameter; `= null` would be in the schema.
            if input_.default_value is None:
                input_.default_value = Undefined
    for name, passthrough in PASSTHROUGHS.items():
        schema.type_map[name].extensions[PASSTHROUGH] = passthrough
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLInputObjectType):
            # Strawberry checks @oneOf in a schema extension, which does not run here
            type_.is_one_of = _is_one_of(type_)
    return schema


def print_contract() -> str:
    """Return the text of `schema.graphql`: types in the order of their names, fields as they are declared."""
    types = sorted(create_schema().type_map.items())
    declared = [type_ for _, type_ in types if not is_introspection_type(type_) and not is_specified_scalar_type(type_)]
    return "\n\n".join(map(print_type, declared)) + "\n"


def _list_inputs(schema: GraphQLSchema) -> Iterable[Mapping[str, GraphQLArgument | GraphQLInputField]]:
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLInputObjectType):
            yield type_.fields
        elif isinstance(type_, GraphQLObjectType):
            yield from (field.args for field in type_.fields.values())


def _is_one_of(type_: GraphQLInputObjectType) -> bool:
    return any(isinstance(directive, OneOf) for directive in list_directives(type_))
