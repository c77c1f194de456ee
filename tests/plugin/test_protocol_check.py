"""Structural checks, cached by class."""

from typing import Any, Protocol, runtime_checkable

from tokend.plugin.protocol_check import implements


@runtime_checkable
class Speaking(Protocol):
    """Something with a method `speak`."""

    def speak(self) -> str:
        """Say something."""


def named(**members: Any) -> type:
    """Make a class that is always called Animal."""
    return type("Animal", (), members)


def test_it_is_isinstance() -> None:
    """Asked twice, the cache gives the same answer."""
    dog, stone = named(speak=lambda self: "wuff")(), named()()
    for _ in range(2):
        assert implements(dog, Speaking)
        assert not implements(stone, Speaking)


def test_two_classes_of_one_name_are_two_classes() -> None:
    """A plugin and a built-in kind may be called alike."""
    assert implements(named(speak=len)(), Speaking) is not implements(named()(), Speaking)


def test_the_answer_is_for_one_protocol_only() -> None:
    """A class that was checked for one protocol may implement another one, or not."""

    @runtime_checkable
    class Walking(Protocol):
        def walk(self) -> None:
            """Go."""

    dog = named(speak=len)()
    assert implements(dog, Speaking)
    assert not implements(dog, Walking)
