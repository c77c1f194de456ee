"""Work that has a few seconds more when its task is cancelled."""

import anyio
import pytest

from tests.virtual import VirtualClock, run_virtually
from tokend.engine.logins.with_grace import with_grace


@pytest.mark.parametrize(("seconds", "whole"), [(2.0, True), (9.0, False)])
def test_cancelled_work_goes_on_for_its_grace_and_no_longer(seconds: float, whole: bool) -> None:
    """Work that ends within the grace is whole."""

    async def main(clock: VirtualClock) -> None:
        ended = []

        async def work() -> None:
            await clock.sleep(seconds)
            ended.append(True)

        with anyio.move_on_after(1.0) as scope:
            await with_grace(work, seconds=4.0)
            await anyio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        assert bool(ended) is whole
        assert clock.instant().boot - 1000.0 == pytest.approx(2.0 if whole else 5.0)

    run_virtually(main)


def test_an_error_of_the_work_is_raised_as_it_is() -> None:
    """Not in a group of errors."""

    async def main(_: VirtualClock) -> None:
        async def work() -> None:
            raise ValueError("fake")

        with pytest.raises(ValueError, match="fake"):
            await with_grace(work, seconds=4.0)

    run_virtually(main)
