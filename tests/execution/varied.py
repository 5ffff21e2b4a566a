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

from tests.execution.worlds import KNOWN_IDS

ODD_INPUTS: list[Any] = [None, "wrong", {"odd": 1}, [1], -1]


def vary(schema: GraphQLSchema, document: DocumentNode, random: Random) -> tuple[str, dict[str, Any]]:
    """The text of one operation, and its variables."""
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    varied = _Varied(schema, random)
    body = varied.selection_set(operation.selection_set, schema.query_type)
    head = f"query Q({', '.join(varied.definitions)})" if varied.definitions else "query Q"
    return "\n".join([f"{head} {body}", *varied.fragments]), varied.variables


class _Varied:
    def __init__(self, schema: GraphQLSchema, random: Random) -> None:
        self._schema = schema
        self._random = random
        self.variables: dict[str, Any] = {}
        self.definitions: list[str] = []
        self.fragments: list[str] = []
        self._aliases = 0

    def selection_set(self, node: SelectionSetNode, parent: Any) -> str:
        parts = [self._selection(one, parent) for one in node.selections]
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

    def _selection(self, node: SelectionNode, parent: Any) -> str:
        if isinstance(node, InlineFragmentNode):
            type_ = self._schema.type_map[node.type_condition.name.value] if node.type_condition else parent
            return f"... on {type_.name} {self.selection_set(node.selection_set, type_)}"
        assert isinstance(node, FieldNode)
        field = parent.fields.get(node.name.value)
        if field is None:
            return print_ast(node)
        arguments = [self._argument(one, field) for one in node.arguments or ()]
        given = f"({', '.join(filter(None, arguments))})" if any(arguments) else ""
        below = self.selection_set(node.selection_set, get_named_type(field.type)) if node.selection_set else ""
        alias = f"{node.alias.value}: " if node.alias else self._alias()
        return f"{alias}{node.name.value}{given} {self._condition() if self._chance(0.08) else ''} {below}"

    def _alias(self) -> str:
        self._aliases += 1
        return f"a{self._aliases}: " if self._chance(0.1) else ""

    def _argument(self, node: ArgumentNode, field: Any) -> str | None:
        name, type_ = node.name.value, field.args[node.name.value].type
        if name in ("last", "before") and self._chance(0.9):
            return None
        text, value = self._value(node, type_)
        return f"{name}: {self._variable(type_, value) if self._chance(0.5) else text}"

    def _value(self, node: ArgumentNode, type_: Any) -> tuple[str, Any]:
        """As a literal, and as JSON. An id becomes one that leads somewhere; a page is not larger than allowed."""
        literal: Any = node.value
        if get_named_type(type_).name == "ID":
            several = [self._random.choice(KNOWN_IDS[:-1]) for _ in range(self._random.randrange(4))]
            value: Any = several if isinstance(literal, ListValueNode) else self._random.choice(KNOWN_IDS)
            return orjson.dumps(value).decode(), value
        if isinstance(literal, IntValueNode) and self._chance(0.9):
            value = int(literal.value) % 51
            return str(value), value
        return print_ast(literal), value_from_ast_untyped(literal)

    def _variable(self, type_: Any, value: Any) -> str:
        name = f"v{len(self.definitions)}"
        self.definitions.append(f"${name}: {type_}")
        if self._chance(0.97):
            self.variables[name] = value if self._chance(0.97) else self._random.choice(ODD_INPUTS)
        return f"${name}"

    def _condition(self) -> str:
        word = self._random.choice(["skip", "include"])
        if self._chance(0.3):
            return f"@{word}(if: {self._random.choice(['true', 'false'])})"
        name = f"c{len(self.definitions)}"
        self.definitions.append(f"${name}: Boolean{self._random.choice(['!', ' = true', ' = false'])}")
        self.variables[name] = self._chance(0.5)
        return f"@{word}(if: ${name})"

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability
