"""Types and shapes of stc_core are checked at each call that a test makes.

As `pytest --jaxtyping-packages` does it, save for two kinds of functions. Those inside
functions are made anew, and their checks compiled anew, at each call of the outer one:
Pyright alone checks them. Those whose signature has no array are checked by beartype
alone, which costs a hundredth of what a look at shapes does.
"""

import ast
import re
import sys

from beartype import beartype as checker  # named in `install`
from jaxtyping import _import_hook, install_import_hook

__all__ = ["checker", "install"]

ARRAYS = re.compile(r"(Shaped|Bool|Num|Real|Inexact|Complex|Float|U?Int|Integer)\d*")
"""Names by which jaxtyping calls arrays."""


class Checks(_import_hook.JaxtypingTransformer):
    """Decorates functions and methods by what their signatures need."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        if self._is_inside_a_function():
            return node
        if _has_arrays(node):
            return super().visit_FunctionDef(node)
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


def install() -> None:
    """Check all modules of stc_core that are imported from now on."""
    early = sorted(name for name in sys.modules if name.startswith("stc_core"))
    assert not early, f"imported before their calls can be checked: {early}"
    _import_hook.JaxtypingTransformer = Checks
    install_import_hook("stc_core", "helpers.checked.checker")
