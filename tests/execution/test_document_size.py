"""The size computed without expanding fragments equals that of the expanded document."""

from collections import Counter
from collections.abc import Iterable, Iterator

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    parse,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tiktok_accounts_gql.execution.document_size import MAX_COUNT, DefinitionSize, MergedSelections, measure_definitions

NAMES = st.sampled_from(["a", "b", "k: a", "k: b"])
DIRECTIVES = st.sampled_from(["", "", " @x", " @x @y"])


def selections(fragments: int) -> st.SearchStrategy[str]:
    """Return selection sets that spread only the first fragments, so that there is no cycle."""
    field = st.builds(str.__add__, NAMES, DIRECTIVES)
    spread = st.integers(0, fragments).map(lambda i: f"...F{i}" if i < fragments else "...Unknown")
    leaf = field | st.builds(str.__add__, spread, DIRECTIVES)

    def branch(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        sets = st.lists(inner, max_size=3).map(lambda parts: " { " + " ".join(parts) + " }")
        return st.builds(str.__add__, field | st.just("..."), sets)

    return st.lists(st.recursive(leaf, branch, max_leaves=6), max_size=4).map(" ".join)


@st.composite
def texts(draw: st.DrawFn) -> str:
    fragments = draw(st.integers(0, 4))
    bodies = [draw(selections(i)) for i in range(fragments + 1)]
    definitions = [f"fragment F{i} on T{draw(DIRECTIVES)} {{ {body} }}" for i, body in enumerate(bodies[:-1])]
    return f"query Q{draw(DIRECTIVES)} {{ {bodies[-1]} }} {' '.join(draw(st.permutations(definitions)))}"


class ExpandedDocument:
    """The same sizes by plain recursion."""

    def __init__(self, document: DocumentNode) -> None:
        self.operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        nodes = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
        self.fragments = {node.name.value: node for node in nodes}

    def get_selection_set(self, node: SelectionNode) -> SelectionSetNode | None:
        if isinstance(node, FragmentSpreadNode):
            fragment = self.fragments.get(node.name.value)
            return fragment.selection_set if fragment else None
        assert isinstance(node, FieldNode | InlineFragmentNode)
        return node.selection_set

    def list_all(self, selection_set: SelectionSetNode | None) -> Iterator[SelectionNode]:
        for node in selection_set.selections if selection_set else ():
            yield node
            yield from self.list_all(self.get_selection_set(node))

    def depth(self, selection_set: SelectionSetNode | None) -> int:
        nodes = selection_set.selections if selection_set else ()
        return max(
            (isinstance(node, FieldNode) + self.depth(self.get_selection_set(node)) for node in nodes), default=0
        )

    def directives(self, operation: OperationDefinitionNode) -> int:
        nodes = list(self.list_all(operation.selection_set))
        spread = [self.fragments.get(node.name.value) for node in nodes if isinstance(node, FragmentSpreadNode)]
        return sum(len(node.directives or ()) for node in (operation, *nodes, *spread) if node)

    def merge(self, sets: Iterable[SelectionSetNode], spread: set[str]) -> Iterator[FieldNode]:
        """Yield fields as CollectFields of the specification does: a fragment is spread once in one place."""
        for node in [node for selection_set in sets for node in selection_set.selections]:
            if isinstance(node, FieldNode):
                yield node
                continue
            if isinstance(node, FragmentSpreadNode):
                if node.name.value in spread:
                    continue
                spread.add(node.name.value)
            inner = self.get_selection_set(node)
            yield from self.merge([inner] if inner else [], spread)

    def count_repeats(self, sets: list[SelectionSetNode]) -> int:
        fields = list(self.merge(sets, set()))
        keys = Counter((node.alias or node.name).value for node in fields)
        below = [
            [node.selection_set for node in fields if (node.alias or node.name).value == key and node.selection_set]
            for key in keys
        ]
        return max([*keys.values(), *(self.count_repeats(inner) for inner in below if inner)], default=0)


@settings(max_examples=40, deadline=None)
@given(texts())
def test_sizes_equal_those_of_the_expanded_document(text: str) -> None:
    document = parse(text)
    [size] = [size for size in measure_definitions(document) if isinstance(size.definition, OperationDefinitionNode)]
    expanded = ExpandedDocument(document)
    [operation] = expanded.operations
    fields = [node for node in expanded.list_all(operation.selection_set) if isinstance(node, FieldNode)]
    assert size.fields == len(fields)
    assert size.aliases == sum(node.alias is not None for node in fields)
    assert size.directives == expanded.directives(operation)
    assert size.depth == expanded.depth(operation.selection_set)


@settings(max_examples=40, deadline=None)
@given(texts())
def test_repeats_equal_those_of_the_expanded_document(text: str) -> None:
    document = parse(text)
    expanded = ExpandedDocument(document)
    roots = [node.selection_set for node in (*expanded.operations, *expanded.fragments.values())]
    assert MergedSelections(document).find_most_repeated()[0] == max(expanded.count_repeats([root]) for root in roots)


def measure(text: str) -> dict[str, DefinitionSize]:
    """Return the sizes by the names of the definitions."""
    sizes = measure_definitions(parse(text))
    return {size.definition.name.value: size for size in sizes if size.definition.name}


def test_sums_stop_at_the_maximum() -> None:
    spreads = "".join(f" fragment F{i} on T {{ ...F{i + 1} ...F{i + 1} }}" for i in range(60))
    size = measure(f"query Q {{ ...F0 }} {spreads} fragment F60 on T {{ k: a @x }}")["Q"]
    assert (size.fields, size.aliases, size.directives, size.depth) == (MAX_COUNT, MAX_COUNT, MAX_COUNT, 1)


def test_introspection_has_a_depth_of_its_own() -> None:
    sizes = measure(
        "query Q { a { ...F } } fragment F on T { b __schema { ...G } } fragment G on T { __type { c { __schema { d } } } }"
    )
    assert {name: (size.depth, size.introspection_depth) for name, size in sizes.items()} == {
        "Q": (2, 5),
        "F": (1, 5),
        "G": (1, 4),
    }


def test_a_cycle_of_fragments_is_marked_and_cut_where_it_closes() -> None:
    sizes = measure(
        "query Q { ...A ...C } fragment A on T { a ...B } fragment B on T { b ...A ...B } fragment C on T { c }"
    )
    assert {name for name, size in sizes.items() if size.in_cycle} == {"A", "B"}
    assert sizes["Q"].fields == 2
