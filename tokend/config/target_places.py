"""Places of file sinks: whether the readers that the operator means can read the file, and nobody else."""

from collections.abc import Iterable

from tokend.config.config_files import PlacedSettings
from tokend.config.fields import Visibility
from tokend.config.findings import Findings
from tokend.plugin.settings import SinkSettings


def check_target_places(sinks: Iterable[PlacedSettings], findings: Findings) -> None:
    """Add what the sinks find about the places of their targets. Blocks: it looks at each of them."""
    for sink in sinks:
        settings: SinkSettings = sink.settings
        for found in settings.place_findings():
            path = (*sink.path, found.key)
            problem = sink.document.problem(path, found.message, visibility=Visibility.PLACES, code=found.code)
            if found.is_error:
                findings.of_this_machine(problem)
            elif not findings.starting:  # the first write follows, and says so in log and status
                findings.warnings.append(problem)
