"""`LoginAdvice`: what a person does about a login that is needed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoginAdvice:
    """What a person does about a login that is needed: ``command`` where it is one, else ``step`` says it in words.

    The one that does not apply is None.
    """

    command: str | None
    step: str | None = None

    @property
    def remedy(self) -> str:
        """The command alone, or the step."""
        return self.command or self.step or ""

    @property
    def to_do(self) -> str:
        """The remedy as an advice of the log."""
        return self.remedy if self.command is None else f"run: {self.command}"

    @property
    def clause(self) -> str:
        """What a person does, as a part of a sentence."""
        return f"a person has to {self.remedy}" if self.command is None else f"a person runs {self.command}"

    @property
    def need(self) -> str:
        """What is needed, without the command."""
        if self.command is None:
            return f"nobody can log in for these settings: {self.remedy}"
        return "a person has to log in"

    @property
    def sentence(self) -> str:
        """What is needed, with the command."""
        return self.need if self.command is None else f"{self.need}: {self.command}"
