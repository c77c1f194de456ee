"""`tokend schema`: the command, which prints the schema and names the kinds that it leaves out."""

import json

from tests.cli.running import tokend


def test_the_schema_is_printed_as_json() -> None:
    """On standard output, alone."""
    done = tokend("schema")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["title"] == "tokend's configuration"
