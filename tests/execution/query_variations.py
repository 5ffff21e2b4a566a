"""Operations that hypothesis-graphql generates, made more like those of clients.

Arguments become variables or known ids; aliases, fragments, conditions, repetitions and type names are added.
"""

from random import Random
from typing import Any

import orjson
from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    get_named_type,
    print_ast,
    value_from_ast_untyped,
)

from tests.execution.fake_rows import KNOWN_IDS, MALFORMED_ID

WELL_FORMED_IDS = [id_ for id_ in KNOWN_IDS if id_ != MALFORMED_ID]
INVALID_VARIABLES: list[Any] = [None, "wrong", {"odd": 1}, [1], -1]


def vary_query(schema: GraphQLSchema, document: DocumentNode, random: Random) -> tuple[str, dict[str, Any]]:
    """Return the text of one operation, and its variables."""
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    printer = _VaryingPrinter(schema, random)
    body = printer.print_selection_set(operation.selection_set, schema.query_type)
    head = f"query Q({', '.join(printer.definitions)})" if printer.definitions else "query Q"
    return "\n".join([f"{head} {body}", *printer.fragments]), printer.variables


class _VaryingPrinter:
    def __init__(self, schema: GraphQLSchema, random: Random) -> None:
        self._schema = schema
        self._random = random
        self.variables: dict[str, Any] = {}
        self.definitions: list[str] = []
        self.fragments: list[str] = []
        self._aliases = 0

    def print_selection_set(self, node: SelectionSetNode, parent: Any) -> str:
        parts = [self._print_selection(selection, parent) for selection in node.selections]
        if self._chance(0.2):
            parts.insert(self._random.randrange(len(parts) + 1), "__typename")
        if self._chance(0.15):
            parts.append(self._random.choice(parts))
        if self._chance(0.15):
            parts[0] = f"... {self._condition()} {{ {parts[0]} }}"
        if self._chance(0.15):
            name = f"F{len(self.fragments)}"
            self.fragments.append(f"fragment {name} on {parent.name} {{ {' '.join(parts[1:] or ['__typename'])} }}")
            parts[1:] = [f"...{name}", *([f"...{name} {self._condition()}"] if self._chance(0.3) else [])]
        return f"{{ {' '.join(parts)} }}"

    def _print_selection(self, node: SelectionNode, parent: Any) -> str:
        if isinstance(node, InlineFragmentNode):
            type_ = self._schema.type_map[node.type_condition.name.value] if node.type_condition else parent
            return f"... on {type_.name} {self.print_selection_set(node.selection_set, type_)}"
        assert isinstance(node, FieldNode)
        field = parent.fields.get(node.name.value)
        if field is None:
            return print_ast(node)
        printed = filter(None, [self._print_argument(argument, field) for argument in node.arguments or ()])
        arguments = ", ".join(printed)
        body = self.print_selection_set(node.selection_set, get_named_type(field.type)) if node.selection_set else ""
        alias = f"{node.alias.value}: " if node.alias else self._print_alias()
        condition = self._condition() if self._chance(0.08) else ""
        return f"{alias}{node.name.value}{f'({arguments})' if arguments else ''} {condition} {body}"

    def _print_alias(self) -> str:
        self._aliases += 1
        return f"a{self._aliases}: " if self._chance(0.1) else ""

    def _print_argument(self, node: ArgumentNode, field: Any) -> str | None:
        name, type_ = node.name.value, field.args[node.name.value].type
        if name in ("last", "before") and self._chance(0.9):
            return None
        literal, value = self._choose_value(node, type_)
        return f"{name}: {self._add_variable(type_, value) if self._chance(0.5) else literal}"

    def _choose_value(self, node: ArgumentNode, type_: Any) -> tuple[str, Any]:
        """Return a literal and its JSON. An id becomes one that exists; a page is not larger than allowed."""
        literal: Any = node.value
        if get_named_type(type_).name == "ID":
            ids = [self._random.choice(WELL_FORMED_IDS) for _ in range(self._random.randrange(4))]
            value: Any = ids if isinstance(literal, ListValueNode) else self._random.choice(KNOWN_IDS)
            return orjson.dumps(value).decode(), value
        if isinstance(literal, IntValueNode) and self._chance(0.9):
            value = int(literal.value) % 51
            return str(value), value
        return print_ast(literal), value_from_ast_untyped(literal)

    def _add_variable(self, type_: Any, value: Any) -> str:
        name = f"v{len(self.definitions)}"
        self.definitions.append(f"${name}: {type_}")
        if self._chance(0.97):
            self.variables[name] = value if self._chance(0.97) else self._random.choice(INVALID_VARIABLES)
        return f"${name}"

    def _condition(self) -> str:
        directive = self._random.choice(["skip", "include"])
        if self._chance(0.3):
            return f"@{directive}(if: {self._random.choice(['true', 'false'])})"
        name = f"c{len(self.definitions)}"
        self.definitions.append(f"${name}: Boolean{self._random.choice(['!', ' = true', ' = false'])}")
        self.variables[name] = self._chance(0.5)
        return f"@{directive}(if: ${name})"

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability
