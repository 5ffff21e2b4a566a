"""The whole schema."""

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
from tiktok_accounts_gql.schema.audit import AuditEvent
from tiktok_accounts_gql.schema.jobs import SyncJob, SyncResult
from tiktok_accounts_gql.schema.mutation import Mutation
from tiktok_accounts_gql.schema.nodes import Viewer
from tiktok_accounts_gql.schema.query import Query
from tiktok_accounts_gql.schema.scalars import PASSTHROUGHS, scalars
from tiktok_accounts_gql.schema.subscription import Subscription


def create_schema() -> GraphQLSchema:
    """For graphql-core, with Strawberry's resolvers in it."""
    config = StrawberryConfig(scalar_map=scalars())
    types = [TikTokAccount, AuditEvent, SyncJob, SyncResult, Viewer]
    whole = strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription, types=types, config=config)
    schema = get_graphql_schema(whole)
    for inputs in _inputs(schema):
        _drop_null_defaults(inputs)
    for name, passthrough in PASSTHROUGHS.items():
        schema.type_map[name].extensions[PASSTHROUGH] = passthrough
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLInputObjectType):
            # Strawberry checks it in an extension of its own, which does not run here
            type_.is_one_of = _is_one_of(type_)
    return schema


def print_contract() -> str:
    """The contract as `schema.graphql` holds it: types by name, fields as they are declared."""
    types = sorted(create_schema().type_map.items())
    own = [type_ for _, type_ in types if not is_introspection_type(type_) and not is_specified_scalar_type(type_)]
    return "\n\n".join(map(print_type, own)) + "\n"


def _inputs(schema: GraphQLSchema) -> Iterable[Mapping[str, GraphQLArgument | GraphQLInputField]]:
    for type_ in schema.type_map.values():
        if isinstance(type_, GraphQLInputObjectType):
            yield type_.fields
        elif isinstance(type_, GraphQLObjectType):
            yield from (field.args for field in type_.fields.values())


def _is_one_of(type_: GraphQLInputObjectType) -> bool:
    return any(isinstance(directive, OneOf) for directive in list_directives(type_))


def _drop_null_defaults(inputs: Mapping[str, GraphQLArgument | GraphQLInputField]) -> None:
    """Python's None for "not given" is no default of the contract; left out, Python's own default applies."""
    for one in inputs.values():
        if one.default_value is None:
            one.default_value = Undefined
