"""Wiring: objects are complete when they are built."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tokend.daemon

MODULES = sorted(Path(tokend.daemon.__file__).parent.glob("*.py"))


def _targets(tree: ast.AST) -> Iterator[ast.Attribute]:
    """Every attribute that is assigned in ``tree``, except attributes of ``self``."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del)):
            continue
        if not (isinstance(node.value, ast.Name) and node.value.id == "self"):
            yield node


def _declared_late(tree: ast.AST) -> Iterator[str]:
    """Every attribute of ``self`` that is first assigned outside of ``__init__``."""
    for cls in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        made: dict[str, set[str]] = {}
        for method in (node for node in cls.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            made[method.name] = {
                node.attr
                for node in ast.walk(method)
                if isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
            }
        declared = made.pop("__init__", set())
        yield from sorted(name for names in made.values() for name in names - declared)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_module_of_the_daemon_sets_an_attribute_of_another_object(path: Path) -> None:
    """An object gets everything in its constructor; `subscribe` is the only later connection."""
    found = [f"{path.name}:{node.lineno}: {ast.unparse(node)}" for node in _targets(ast.parse(path.read_text()))]
    assert found == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_class_of_the_daemon_gets_an_attribute_after_its_constructor(path: Path) -> None:
    """An attribute that only a later method sets is missing until then."""
    assert list(_declared_late(ast.parse(path.read_text()))) == []
