"""Check of a template before it is rendered: its syntax, its variables, and the tokens that it names."""

from collections.abc import Collection
from typing import TYPE_CHECKING

from tokend.machine.late_imports import import_alone
from tokend.plugin.shown_text import shown
from tokend.plugin.templates import environment
from tokend.values.near_miss import did_you_mean

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

# The members of the native JSON (`values.tokens.native`), ``headers`` and ``extra``.
MEMBERS = frozenset(
    {
        "version", "name", "access_token", "token_type", "issued_at", "expires_at", "expires_at_unix", "refresh_at",
        "generation", "fingerprint", "headers", "extra",
    }
)  # fmt: skip


def template_faults(source: str, tokens: Collection[str]) -> list[str]:
    """Return what is wrong with a template that can read these ``tokens``, one text each.

    Nothing of the template is rendered. What it computes (a token's name in a variable) is not checked. A text of
    the template is quoted only where it is a name.
    """
    import_alone("jinja2.meta")
    import jinja2
    from jinja2 import nodes

    made = environment()
    try:
        tree = made.parse(source)
        unknown = _undeclared(made, tree) - MEMBERS - {"tokens"} - made.globals.keys()
        accesses = {path: None for node in tree.find_all((nodes.Getattr, nodes.Getitem)) if (path := _path(node))}
    except jinja2.TemplateSyntaxError as error:
        return [shown(f"line {error.lineno} of the template is wrong: {error.message}")]
    except (RecursionError, MemoryError, SyntaxError, ValueError):
        return ["the template is nested too deeply"]
    faults = [
        f"the template asks for {_named(name)}, which is not there{did_you_mean(name, MEMBERS)}" for name in unknown
    ]
    faults += [fault for path in accesses if (fault := _fault_of_access(path, tokens)) is not None]
    return sorted(dict.fromkeys(faults))


def _undeclared(made: "Environment", tree: "nodes.Template") -> set[str]:
    """Return the variables that a template does not set itself. Raises TemplateSyntaxError for an unknown filter."""
    from jinja2 import nodes
    from jinja2.meta import TrackingCodeGenerator

    class Checking(TrackingCodeGenerator):
        """Generates the code without computing constants: ``"x" * 10**9`` would take all memory."""

        def __init__(self) -> None:
            super().__init__(made)
            self.optimizer = None

        def _output_child_to_const(self, *_: object) -> str:
            raise nodes.Impossible

    generator = Checking()
    generator.visit(tree)
    return generator.undeclared_identifiers


def _fault_of_access(path: tuple[str, ...], tokens: Collection[str]) -> str | None:
    """Return what is wrong with ``tokens.NAME`` or ``tokens.NAME.MEMBER``."""
    if len(path) < 2 or path[0] != "tokens":
        return None
    name = path[1]
    if name not in tokens and not hasattr(dict, name):
        return f"the template reads the token {_named(name)}: add it to tokens{did_you_mean(name, tokens)}"
    if name in tokens and len(path) > 2 and path[2] not in MEMBERS and not hasattr(dict, path[2]):
        return f"the template asks for {_named(path[2])} of {name}, which is not there{did_you_mean(path[2], MEMBERS)}"
    return None


def _path(node: "nodes.Node") -> tuple[str, ...]:
    """Return the names of ``a.b["c"]``: a, b, c. Empty for an access that is computed."""
    from jinja2 import nodes

    names: list[str] = []
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        if isinstance(node, nodes.Getattr):
            names.append(node.attr)
        elif isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            names.append(node.arg.value)
        else:
            return ()
        node = node.node
    return (node.name, *reversed(names)) if isinstance(node, nodes.Name) and node.ctx == "load" else ()


def _named(name: str) -> str:
    return repr(shown(name))
