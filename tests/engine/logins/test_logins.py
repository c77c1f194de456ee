"""The logins of a daemon are what the servers expect of its engine."""

from tests.engine.logins.personal import Stage, on_stage
from tokend.engine.context import contract


def test_they_implement_the_contract_with_the_servers() -> None:
    """Checked by types, and used as such here."""

    async def play(stage: Stage) -> None:
        logins: contract.Logins = stage.logins
        session = await logins.begin("one", uid=1, flow=None, redirect_uri=None, other_account=False)
        assert logins.find("one", session.login_id, uid=1) is session

    on_stage(play)
