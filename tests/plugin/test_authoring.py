"""The names that authors of kinds import."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tokend import plugin
from tokend.plugin import authoring
from tokend.sinks.files.base import FileSink


def test_all_names_exactly_what_is_imported() -> None:
    """Nothing is forgotten, nothing is offered by accident."""
    tree = ast.parse(inspect.getsource(authoring))
    imported = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert len(authoring.__all__) == len(set(authoring.__all__))
    assert set(authoring.__all__) == imported


def test_the_package_offers_the_same_names() -> None:
    """Each on its first use, and the class of file sinks with them."""
    assert set(plugin.__all__) == {*authoring.__all__, "API", "FileSink"}
    assert len(plugin.__all__) == len(set(plugin.__all__))
    for name in authoring.__all__:
        assert getattr(plugin, name) is getattr(authoring, name)
    assert plugin.FileSink is FileSink
    with pytest.raises(AttributeError, match=r"has no attribute 'Nothing'"):
        _ = plugin.Nothing


def test_no_module_has_the_name_of_what_the_package_offers() -> None:
    """The import of such a module would put it in the place of the function."""
    modules = {path.stem for path in Path(authoring.__file__).parent.iterdir()}
    assert not modules & set(plugin.__all__)


def test_the_package_imports_nothing_by_itself() -> None:
    """Every module of the folder imports the package: `tokend get` and an idle daemon, too."""
    code = "import sys, tokend.plugin; print([name for name in sys.modules if name.startswith('tokend.')])"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "['tokend.plugin']\n"


def test_a_module_of_the_package_is_imported_without_what_authors_need() -> None:
    """The import asks the package for the name first."""
    code = (
        "import sys; from tokend.plugin import toml_positions; assert not hasattr(sys.modules['tokend.plugin'], "
        "'__wrapped__'); print('tokend.plugin.authoring' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout == "False\n"


def test_the_page_for_authors_needs_no_other_module() -> None:
    """docs/extending.md: one import line for each example."""
    page = (Path(__file__).parents[2] / "docs/extending.md").read_text()
    assert set(re.findall(r"from (tokend\S*) import", page)) == {"tokend.plugin"}
