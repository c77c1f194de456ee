"""The line about a plug-in."""

from dataclasses import asdict

from tokend.cli.plugin_line import describe_plugin
from tokend.values.status import PluginStatus


def test_a_line_names_the_place_and_the_kinds_or_the_error() -> None:
    """The error's own place is not said twice."""
    file = PluginStatus("/p/acme.py", None, None, ("a", "b"), ("c",))
    assert describe_plugin(asdict(file)) == "plug-in /p/acme.py: a, b, c (sink)"
    package = PluginStatus(None, "acme-tokend", "1.0", (), ("c",))
    assert describe_plugin(asdict(package)) == "plug-in acme-tokend 1.0: c (sink)"
    failed = PluginStatus("/p/acme.py", None, None, error="plugins: /p/acme.py: unsafe path: it is so")
    assert describe_plugin(asdict(failed)) == "plug-in /p/acme.py: not loaded: unsafe path: it is so"
