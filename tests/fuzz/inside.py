"""One run of the fuzzer, in a process of its own: it ends the process. The arguments are a target and libFuzzer's."""

import sys

import atheris

with atheris.instrument_imports(include=["tests", "tokend", "tomllib", "email", "urllib"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    name = sys.argv.pop(1)
    # To merge, libFuzzer starts itself again, by the shell.
    sys.argv[0] = f"{sys.executable} -m tests.fuzz.inside {name}"
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()
