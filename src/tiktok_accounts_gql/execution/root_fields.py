"""The fields that an operation selects at its root."""

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
)


def collect_root_fields(document: DocumentNode, operation: OperationDefinitionNode) -> frozenset[str]:
    """Return the fields' names from a valid document: fragments expanded, @skip and @include ignored."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    names: set[str] = set()
    visited: set[str] = set()
    stack = list(operation.selection_set.selections)
    while stack:
        selection = stack.pop()
        if isinstance(selection, FieldNode):
            names.add(selection.name.value)
        elif isinstance(selection, InlineFragmentNode):
            stack += selection.selection_set.selections
        elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in visited:
            visited.add(selection.name.value)
            stack += fragments[selection.name.value].selection_set.selections
    return frozenset(names)
