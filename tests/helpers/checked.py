"""Types and shapes of stc_core are checked at each call that a test makes.

As `pytest --jaxtyping-packages` does it, save for two kinds of functions. Those inside
functions are made anew, and their checks compiled anew, at each call of the outer one:
Pyright alone checks them. Those whose signature has no array are checked by beartype
alone, which costs a hundredth of what a look at shapes does. And of the calls of a
function whose arguments and result have the same types and shapes one is checked in
full: the others would pass, too.
"""

import ast
import re
import sys
from collections.abc import Callable, Collection, Hashable
from functools import cache, wraps
from threading import local
from types import FunctionType
from typing import Any

from beartype import beartype as typed  # named in `install`
from jaxtyping import _import_hook, install_import_hook, jaxtyped

__all__ = ["by_shape", "install", "typed"]

ARRAYS = re.compile(r"(Shaped|Bool|Num|Real|Inexact|Complex|Float|U?Int|Integer)\d*")
"""Names by which jaxtyping calls arrays."""
MOST = 8
"""A longer collection is not looked through: each call that has one is checked."""
BY_SHAPE = "__import__('helpers.checked').checked.by_shape"


class Checks(_import_hook.JaxtypingTransformer):
    """Decorates functions and methods by what their signatures need."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        if self._is_inside_a_function():
            return node
        if _has_arrays(node):
            before = len(node.decorator_list)
            super().visit_FunctionDef(node)
            if len(node.decorator_list) > before:
                own = ast.parse(BY_SHAPE, mode="eval").body
                node.decorator_list.insert(before, ast.copy_location(own, node))
            return node
        decorator = self._typechecker.get_ast().keywords[0].value
        node.decorator_list.append(ast.copy_location(decorator, node))
        self._parents.append(node)
        self.generic_visit(node)
        self._parents.pop()
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        return node if self._is_inside_a_function() else super().visit_ClassDef(node)

    def _is_inside_a_function(self) -> bool:
        return any(isinstance(one, ast.FunctionDef) for one in self._parents)


def _has_arrays(function: ast.FunctionDef) -> bool:
    parts = [function.args, *filter(None, [function.returns])]
    names = (node for part in parts for node in ast.walk(part))
    return any(isinstance(n, ast.Name) and ARRAYS.fullmatch(n.id) for n in names)


def by_shape(checked: Any) -> Callable[..., Any]:
    """`checked`, which jaxtyping has made, with fewer checks of the same thing.

    A call is compared by the types of its arguments and of its result, with the dtypes
    and shapes of arrays and the values of strings: on nothing else a check depends.
    """
    plain = checked.__wrapped__
    passed: dict[Hashable, set[Hashable]] = {}
    result = local()

    def same(*args: object, **kwargs: object) -> object:
        return result.value

    @cache
    def check_result() -> Any:
        # Annotations in quotes are looked up among the names of the function's module.
        code, names, cells = same.__code__, plain.__globals__, same.__closure__
        stand_in: Any = FunctionType(code, names, closure=cells)
        return jaxtyped(typechecker=typed)(wraps(plain)(stand_in))

    @wraps(plain)
    def call(*args: object, **kwargs: object) -> object:
        __tracebackhide__ = True
        given = looks((*args, *kwargs.items()))
        if given is None or given not in passed:
            found = checked(*args, **kwargs)
        else:
            with jaxtyped("context"):  # sizes of axes are named anew, as in a check
                found = plain(*args, **kwargs)
            if (seen := looks(found)) is None or seen not in passed[given]:
                result.value = found
                check_result()(*args, **kwargs)
        if given is not None and (seen := looks(found)) is not None:
            passed.setdefault(given, set()).add(seen)
        return found

    return call


def looks(value: object) -> Hashable | None:
    """All of `value` on which a check may depend; None if that is too much."""
    return _look_at(type(value))(value)


@cache
def _look_at(kind: type) -> Callable[[Any], Hashable | None]:
    if hasattr(kind, "shape") and hasattr(kind, "dtype"):
        return _look_at_array
    if issubclass(kind, str | type):
        return lambda value: (kind, value)
    if issubclass(kind, dict):
        return lambda value: _parts(kind, value.items())
    if issubclass(kind, tuple | list):
        return lambda value: _parts(kind, value)
    return (lambda _: None) if hasattr(kind, "__iter__") else type


def _look_at_array(array: Any) -> Hashable | None:
    """Sizes that torch's exporter traces are not numbers: each such call is checked."""
    sizes = tuple(array.shape)
    numbers = all(type(size) is int for size in sizes)
    return (type(array), array.dtype, sizes) if numbers else None


def _parts(kind: type, parts: Collection[object]) -> Hashable | None:
    if len(parts) > MOST:
        return None
    seen = [_look_at(type(part))(part) for part in parts]
    return None if None in seen else (kind, *seen)


def install() -> None:
    """Check all modules of stc_core that are imported from now on."""
    early = sorted(name for name in sys.modules if name.startswith("stc_core"))
    assert not early, f"imported before their calls can be checked: {early}"
    _import_hook.JaxtypingTransformer = Checks
    install_import_hook("stc_core", "helpers.checked.typed")
