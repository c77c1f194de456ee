"""The plan of a reload: add, change, rename, remove."""

from typing import Annotated

from tests.engine.records.test_rename import held
from tests.fakes import FakeHeld, FakeLocal, config, literal, provider
from tokend.config.model import ProviderConfig
from tokend.engine.reload_plan import Step, steps
from tokend.plugin.field_roles import Role
from tokend.plugin.secret_source import SecretField, SecretSource


def planned(running: list[ProviderConfig], wanted: list[ProviderConfig]) -> list[Step]:
    return steps(config(*running).providers, config(*wanted).providers)


def test_a_name_that_is_left_is_free_for_another() -> None:
    """A provider leaves its name before another one takes it, whatever the order in the file."""
    ann, bob = held("x", "ann"), held("y", "bob")
    assert planned([ann], [held("x", "bob"), held("y", "ann")]) == [Step("y", "rename", "x"), Step("x", "add")]
    assert planned([ann, bob], [held("x", "carl"), held("y", "ann")]) == [Step("y", "rename", "x"), Step("x", "add")]
    chain = [held("z", "bob"), held("y", "ann"), held("x", "carl")]
    moved = [Step("z", "rename", "y"), Step("y", "rename", "x"), Step("x", "add")]
    assert planned([ann, bob], chain) == planned([ann, bob], chain[::-1]) == moved


def test_an_account_that_stands_in_the_file_itself_says_whose_token_it_is() -> None:
    """A name as plain text is a secret's literal; where it is a file's or a variable's, nothing is known of it here."""

    class Named(FakeHeld):
        key: Annotated[SecretField | None, Role.ACCOUNT] = None

    ann, bob = (Named(key=literal(name)) for name in ("ann", "bob"))
    moved = [Step("y", "rename", "x"), Step("x", "add")]
    assert planned([provider("x", ann)], [provider("x", bob), provider("y", ann)]) == moved
    far = [Named(key=SecretSource(env=name)) for name in ("ANN", "BOB")]
    stays = [Step("x", "change"), Step("y", "add")]
    assert planned([provider("x", far[0])], [provider("x", far[1]), provider("y", far[0])]) == stays


def test_two_that_swap_their_names_change() -> None:
    """There is no order in which both could leave first; a third that came in their way does not matter."""
    ann, bob, carl = held("x", "ann"), held("y", "bob"), held("z", "carl")
    assert planned([ann, bob, carl], [held("x", "bob"), held("y", "ann"), held("w", "carl")]) == [
        Step("x", "change"),
        Step("y", "change"),
        Step("w", "rename", "z"),
    ]


def test_a_minted_token_is_replaced_without_a_gap_also_where_another_is_minted_as_it_was() -> None:
    """Nothing is lost by minting once more; to move it would leave its readers without one for a moment."""
    before = provider("x", FakeLocal(secret=literal("fake"), life=900.0))
    wanted = [provider("x", FakeLocal(secret=literal("fake"), life=1200.0)), provider("y", before.settings)]
    assert planned([before], wanted) == [Step("x", "change"), Step("y", "add")]


def test_a_key_that_does_not_say_whose_token_it_is_passes_no_name_on() -> None:
    """It is one provider that changed, though another may look as it did."""
    before = provider("x", FakeHeld(on_expiry="remove"))
    assert planned([before], [provider("x", FakeHeld()), provider("y", FakeHeld(on_expiry="remove"))]) == [
        Step("x", "change"),
        Step("y", "add"),
    ]
