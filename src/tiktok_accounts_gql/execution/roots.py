"""What an operation selects at its root."""

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
)


def root_fields(document: DocumentNode, operation: OperationDefinitionNode) -> frozenset[str]:
    """Names of the fields, fragments expanded, whatever @skip and @include say. The document is a valid one."""
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    names: set[str] = set()
    seen: set[str] = set()
    left = list(operation.selection_set.selections)
    while left:
        selection = left.pop()
        if isinstance(selection, FieldNode):
            names.add(selection.name.value)
        elif isinstance(selection, InlineFragmentNode):
            left += selection.selection_set.selections
        elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in seen:
            seen.add(selection.name.value)
            left += fragments[selection.name.value].selection_set.selections
    return frozenset(names)
