"""Names of the Python package TTRestAPI, answered by tokend. Uses the standard library only.

    from tokend.client.ttrestapi import TTTokenManager               # was: from TTRestAPI import TTTokenManager
    from tokend.client.ttrestapi.tt_utils import format_bearer_token

The package logs in by itself and writes its own file. Here the daemon does both: this class only asks the daemon.
"""

from tokend.client.ttrestapi.tt_token_manager import TTTokenManager
from tokend.client.ttrestapi.tt_utils import format_bearer_token

__all__ = ["TTTokenManager", "format_bearer_token"]
