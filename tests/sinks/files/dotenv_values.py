"""Values that have broken some reader of `.env` files."""

from hypothesis import strategies as st

from tests.sinks.leases import PLANTED

NASTY = "aZ0_-./+@%,^:=~ \t#'\"`$\\{}()[]<>|&;!?*é😀\u00a0"
values = st.one_of(st.text(alphabet=NASTY, max_size=12), st.text(max_size=8), st.just(PLANTED))
