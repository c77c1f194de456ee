"""The names that authors of kinds import."""

import ast
import inspect
from pathlib import Path

from tokend.plugin import authoring


def test_all_names_exactly_what_is_imported() -> None:
    """Nothing is forgotten, nothing is offered by accident."""
    tree = ast.parse(inspect.getsource(authoring))
    imported = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert len(authoring.__all__) == len(set(authoring.__all__))
    assert set(authoring.__all__) == imported


def test_the_page_for_authors_needs_no_other_module_of_plugin() -> None:
    """docs/extending.md: one import line for each example."""
    page = (Path(__file__).parents[2] / "docs/extending.md").read_text()
    assert "from tokend.plugin.authoring import" in page
    assert "from tokend.plugin." not in page.replace("from tokend.plugin.authoring import", "")
