"""The scope of a socket: names, and ``*`` for every token."""

from tokend.access.socket_scope import SocketScope


def test_a_scope_has_the_named_tokens_or_all() -> None:
    """A token's name is taken as it stands: no pattern but ``*`` alone."""
    assert SocketScope(("a", "b")).has("a")
    assert not SocketScope(("a", "b")).has("c")
    assert not SocketScope(("a*",)).has("ab")
    assert not SocketScope(()).has("")
    assert SocketScope(("*",)).has("anything")
    assert not SocketScope(("*",)).admin


def test_a_change_counts_for_all_peers_of_the_socket() -> None:
    """They share the scope."""
    scope = SocketScope(("a",), admin=True)
    scope.change(("b",), admin=False)
    assert not scope.has("a")
    assert scope.has("b")
    assert not scope.admin
