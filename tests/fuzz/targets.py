"""Every parser that reads what strangers or hands wrote, as a function of any bytes: it returns, or there is a bug.

`python -m tests.fuzz` lets a coverage-guided fuzzer call them, `test_corpus.py` replays what it found.
"""

from collections.abc import Callable

from tests.fuzz.clients import answer, hosts
from tests.fuzz.configuration import config, expressions, template
from tests.fuzz.serving import peers, requests
from tests.fuzz.stored import dotenv, image, login_file, patch, state
from tests.fuzz.upstream import expiries, formats, replies, urls

Target = Callable[[bytes], None]

TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        answer, config, dotenv, expiries, expressions, formats, hosts, image, login_file, patch, peers, replies,
        requests, state, template, urls,
    )
}  # fmt: skip
