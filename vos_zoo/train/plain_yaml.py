"""YAML from anywhere, as plain values: bounded before it is unfolded, and refused in a sentence."""

from __future__ import annotations

from typing import Any

from vos_zoo.errors import DataError
from vos_zoo.system.limits import limit

MOST_LETTERS = 1_000_000
MOST_VALUES = 10_000  # once every alias is written out


def read_yaml(text: str, where: str) -> Any:
    """The value that a YAML text describes: mappings, lists, texts, numbers, dates, true, false and null.

    Args:
        text: the YAML.
        where: what it is, as messages name it.

    Raises:
        DataError: it is no YAML, is too long or nested too deeply, grows too large by its aliases, or holds a value that is none.
    """
    import yaml

    if len(text) > MOST_LETTERS:
        raise DataError(f"{where} has {len(text)} letters, more than the {MOST_LETTERS} that a recipe may have")
    try:
        node = _composed(text, where)
        if node is None:
            return None
        _check_growth(node, where)
        return _constructed(node)
    except yaml.YAMLError as error:
        raise DataError(f"{where} is no YAML: {_first_lines(error)}") from error
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:  # of PyYAML
        raise DataError(
            f"{where} holds a value that can't be read ({_first_lines(error)}): write dates as 2001-12-31, numbers of at most 4000 digits, "
            "and other texts in quotes"
        ) from error


def _composed(text: str, where: str) -> Any:
    """The tree of nodes, in which an alias is the same node once more."""
    import yaml

    deepest = limit("nesting")

    class Loader(yaml.SafeLoader):
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.depth += 1
            if self.depth > deepest:
                raise DataError(f"{where} is nested more than {deepest} levels deep: that is no recipe")
            try:
                return super().compose_node(parent, index)
            finally:
                self.depth -= 1

    loader = Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _constructed(node: object) -> Any:
    import yaml

    constructor = yaml.constructor.SafeConstructor()
    return constructor.construct_document(node)


def _check_growth(root: object, where: str) -> None:
    """DataError if the values are too many once aliases are written out, or one holds itself."""
    sizes: dict[int, int] = {}
    under_way: set[int] = set()

    def size(node: Any) -> int:
        if id(node) in under_way:
            raise DataError(f"{where}: a value holds itself by an alias (*name): write it out")
        if id(node) not in sizes:
            under_way.add(id(node))
            inside = node.value if isinstance(node.value, list) else []
            parts = [part for each in inside for part in (each if isinstance(each, tuple) else (each,))]
            sizes[id(node)] = 1 + sum(size(part) for part in parts)
            under_way.discard(id(node))
            if sizes[id(node)] > MOST_VALUES:
                raise DataError(f"{where} grows to more than {MOST_VALUES} values by its aliases (*name): write out what you need")
        return sizes[id(node)]

    size(root)


def _first_lines(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
