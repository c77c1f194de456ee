"""Warnings about providers: each source replaces its own, the status shows all."""

from tests.fakes import FakeHeld, FakeOnDemand, World, config, provider
from tests.virtual import VirtualClock, run_virtually
from tokend.engine.context.warnings import CONFIG, SECRETS, Warnings
from tokend.values.status import StatusWarning

ODD, OPEN = StatusWarning("secret_format", "it stands in quotes"), StatusWarning("secret_exposed", "mode 0644")


def test_each_source_replaces_its_own_warnings_only() -> None:
    """A source that has nothing to say any more takes its warnings back."""
    warnings = Warnings()
    assert warnings.put("a", CONFIG, [ODD]) == (ODD,)
    assert warnings.put("a", SECRETS, [OPEN, ODD]) == (OPEN, ODD)
    assert warnings.of("a") == (ODD, OPEN)
    assert warnings.put("a", SECRETS, [OPEN]) == ()
    assert warnings.put("a", CONFIG, []) == ()
    assert (warnings.of("a"), warnings.of("b")) == ((OPEN,), ())
    warnings.replace(SECRETS, {"b": [ODD]})
    assert (warnings.of("a"), warnings.of("b")) == ((), (ODD,))
    warnings.drop("b")
    warnings.drop("b")
    assert warnings.of("b") == ()


def test_the_status_of_both_classes_of_providers_shows_the_warnings() -> None:
    """The configuration's own warnings come with the configuration, and go with it."""

    async def main(clock: VirtualClock) -> None:
        held, on_demand = provider("held", FakeHeld()), provider("asked", FakeOnDemand())
        async with World(clock).running() as supervisor:
            await supervisor.apply(config(held, on_demand, warnings={"held": (ODD,), "asked": (ODD, OPEN)}))
            assert supervisor.entries["held"].status().warnings == (ODD,)
            assert supervisor.entries["asked"].status().warnings == (ODD, OPEN)
            supervisor.warnings.put("held", "elsewhere", [OPEN])
            await supervisor.apply(config(held, on_demand))
            assert supervisor.entries["held"].status().warnings == (OPEN,)
            assert supervisor.entries["asked"].status().warnings == ()

    run_virtually(main)


def test_a_provider_that_comes_back_has_no_warnings_of_its_former_life() -> None:
    """What was said about a removed provider is forgotten with it."""

    async def main(clock: VirtualClock) -> None:
        async with World(clock).running(provider("a", FakeHeld())) as supervisor:
            supervisor.warnings.put("a", "elsewhere", [OPEN])
            await supervisor.apply(config())
            await supervisor.apply(config(provider("a", FakeHeld())))
            assert supervisor.entries["a"].status().warnings == ()

    run_virtually(main)
