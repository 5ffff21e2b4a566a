"""The sizes of a document's operations and fragments with every fragment expanded, computed without expanding any.

Each definition is measured once, and its size is added wherever it is spread: a document of a few hundred bytes can stand
for 2^60 fields. Nothing here recurses, so no document reaches Python's recursion limit.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
)

MAX_COUNT = 100_000  # where sums stop
_INTROSPECTION = frozenset({"__schema", "__type"})

Definition = OperationDefinitionNode | FragmentDefinitionNode
Position = tuple[int, bool]  # the depth of a selection; in introspection (True) it counts from `__schema` or `__type`
_ROOT: Position = (0, False)


@dataclass(slots=True, kw_only=True, eq=False)
class DefinitionSize:
    """The size of a definition: first without its fragments, which are then added. Sums stop at MAX_COUNT."""

    definition: Definition
    in_cycle: bool = False
    spreads: list[tuple[str, Position]] = field(default_factory=list)
    depth: int = 0
    introspection_depth: int = 0
    aliases: int = 0
    directives: int = 0
    fields: int = 0

    def add_depth(self, depth: int, in_introspection: bool) -> None:
        if in_introspection:
            self.introspection_depth = max(self.introspection_depth, depth)
        else:
            self.depth = max(self.depth, depth)

    def add_fragment(self, fragment: "DefinitionSize", position: Position) -> None:
        depth, in_introspection = position
        self.add_depth(depth + fragment.depth, in_introspection)
        self.add_depth(depth * in_introspection + fragment.introspection_depth, in_introspection=True)
        self.aliases = min(MAX_COUNT, self.aliases + fragment.aliases)
        self.directives = min(MAX_COUNT, self.directives + fragment.directives)
        self.fields = min(MAX_COUNT, self.fields + fragment.fields)

    def add_selection(self, selection: SelectionNode, position: Position) -> Position:
        """Add a selection without those below it. Return the position of those."""
        self.directives += len(selection.directives or ())
        if isinstance(selection, FragmentSpreadNode):
            self.spreads.append((selection.name.value, position))
        if not isinstance(selection, FieldNode):
            return position
        depth, in_introspection = position
        self.fields += 1
        self.aliases += selection.alias is not None
        self.add_depth(depth + 1, in_introspection)
        if selection.name.value in _INTROSPECTION and not in_introspection:
            return 1, True
        return depth + 1, in_introspection


def get_fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    """Return the fragments of a document by name."""
    return {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}


def measure_definitions(document: DocumentNode) -> list[DefinitionSize]:
    """Return a size for each operation and fragment. A cycle of fragments is marked, and cut where it closes."""
    sizes = {id(node): _measure_alone(node) for node in document.definitions if isinstance(node, Definition)}
    fragments = {name: sizes[id(node)] for name, node in get_fragments(document).items()}
    complete: set[DefinitionSize] = set()
    for size in _sort_by_dependency(sizes.values(), fragments):
        for name, position in size.spreads:
            if fragments.get(name) in complete:
                size.add_fragment(fragments[name], position)
            elif name in fragments:
                size.in_cycle = True
        complete.add(size)
    return list(sizes.values())


def _measure_alone(definition: Definition) -> DefinitionSize:
    variables = definition.variable_definitions or ()
    size = DefinitionSize(definition=definition)
    size.directives = sum(len(node.directives or ()) for node in (definition, *variables))
    stack = [(definition.selection_set, _ROOT)]
    while stack:
        selection_set, position = stack.pop()
        for selection in selection_set.selections:
            below = size.add_selection(selection, position)
            if isinstance(selection, FieldNode | InlineFragmentNode) and selection.selection_set:
                stack.append((selection.selection_set, below))
    return size


def _sort_by_dependency(
    sizes: Iterable[DefinitionSize], fragments: Mapping[str, DefinitionSize]
) -> Iterator[DefinitionSize]:
    """Yield each size once, after those of the fragments that it spreads: depth-first, in post-order."""
    entered: set[DefinitionSize] = set()
    yielded: set[DefinitionSize] = set()
    stack = list(sizes)
    while stack:
        size = stack[-1]
        if size not in entered:
            entered.add(size)
            spread = (fragments[name] for name, _ in size.spreads if name in fragments)
            stack.extend(fragment for fragment in spread if fragment not in entered)
            continue
        stack.pop()
        if size not in yielded:
            yielded.add(size)
            yield size


class MergedSelections:
    """Merges selection sets as CollectFields of the specification does: two `a { … }` in one place have one below them.

    There are at most as many merges as fields after expansion, so this is for documents that are known to have few fields
    and no cycle of fragments: a cycle can make 2^n different merges of n fragments.
    """

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = get_fragments(document)
        self._roots = [node.selection_set for node in document.definitions if isinstance(node, Definition)]
        self._flat: dict[int, tuple[list[FieldNode], set[str]]] = {}  # by the id of a selection set

    def find_most_repeated(self) -> tuple[int, str]:
        """Return the greatest number of fields with one response key in one place, and that key."""
        return max(((len(fields), key) for key, fields in self._list_groups()), default=(0, ""))

    def _list_groups(self) -> Iterator[tuple[str, list[FieldNode]]]:
        visited: set[tuple[int, ...]] = set()
        stack = [[root] for root in self._roots]
        while stack:
            selection_sets = stack.pop()
            identity = tuple(map(id, selection_sets))
            if identity in visited:
                continue
            visited.add(identity)
            for key, fields in self._group_by_key(selection_sets).items():
                yield key, fields
                stack.append([node.selection_set for node in fields if node.selection_set])

    def _group_by_key(self, selection_sets: list[SelectionSetNode]) -> dict[str, list[FieldNode]]:
        groups: defaultdict[str, list[FieldNode]] = defaultdict(list)
        visited: set[str] = set()
        stack = list(selection_sets)
        while stack:
            selection_set = stack.pop()
            if id(selection_set) not in self._flat:
                self._flat[id(selection_set)] = _flatten(selection_set)
            fields, spreads = self._flat[id(selection_set)]
            for node in fields:
                groups[(node.alias or node.name).value].append(node)
            unvisited = self._fragments.keys() & spreads - visited
            visited |= unvisited
            stack.extend(self._fragments[name].selection_set for name in unvisited)
        return groups


def _flatten(selection_set: SelectionSetNode) -> tuple[list[FieldNode], set[str]]:
    """Return the fields and the names of the fragments that are spread, including those in inline fragments."""
    fields: list[FieldNode] = []
    spreads: set[str] = set()
    stack = [selection_set]
    while stack:
        for selection in stack.pop().selections:
            if isinstance(selection, FieldNode):
                fields.append(selection)
            elif isinstance(selection, FragmentSpreadNode):
                spreads.add(selection.name.value)
            elif isinstance(selection, InlineFragmentNode):
                stack.append(selection.selection_set)
    return fields, spreads
