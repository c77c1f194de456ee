"""A second daemon, with another state directory, that writes to the target of a sink."""

from tests.sinks.played_store import Stage
from tokend.engine.publishing.sink_runtime import WriteRuntime


class AnotherDaemon(WriteRuntime):
    """The runtime of a daemon with another state directory; ``decided``: its admin takes the target over."""

    decided = False

    @property
    def writer(self) -> str:
        return "f" * 32

    @property
    def may_take_over(self) -> bool:
        return self.decided

    @may_take_over.setter
    def may_take_over(self, value: bool) -> None:
        """The engine's own decision is not the test's."""


def another_daemon(stage: Stage, *, decided: bool = False) -> AnotherDaemon:
    """A daemon that writes to the same target."""
    made = AnotherDaemon(stage.sink, stage.runtime._target, stage.runtime._context)
    made.decided = decided
    return made
