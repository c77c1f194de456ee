"""`LoginAdvice`: a command, or a step in words."""

from tokend.values.login_advice import LoginAdvice


def test_a_command_is_alone_or_in_a_sentence() -> None:
    """Programs run it."""
    advice = LoginAdvice("tokend login a")
    assert (advice.remedy, advice.to_do, advice.need) == (
        "tokend login a",
        "run: tokend login a",
        "a person has to log in",
    )
    assert advice.sentence == "a person has to log in: tokend login a"
    assert advice.clause == "a person runs tokend login a"


def test_a_step_that_is_no_command_is_never_shown_as_one() -> None:
    """Nobody can log in."""
    advice = LoginAdvice(None, "put it there")
    assert (advice.remedy, advice.to_do) == ("put it there", "put it there")
    assert advice.need == advice.sentence == "nobody can log in for these settings: put it there"
    assert advice.clause == "a person has to put it there"
