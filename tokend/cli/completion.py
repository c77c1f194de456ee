"""``tokend completion``: scripts with which a shell completes commands, options and, from the daemon, tokens."""

import click
from click.shell_completion import get_completion_class

SHELLS = {
    "bash": 'eval "$(tokend completion bash)"            in ~/.bashrc',
    "zsh": 'eval "$(tokend completion zsh)"             in ~/.zshrc, after compinit',
    "fish": "tokend completion fish | source             in ~/.config/fish/config.fish",
}


@click.command(
    "completion", epilog="\b\nOne line switches it on:\n" + "\n".join(f"  {line}" for line in SHELLS.values())
)
@click.argument("shell", type=click.Choice(list(SHELLS)))
def command(shell: str) -> None:
    """Print the script with which SHELL completes tokend's commands, options and tokens.

    The tokens' names come from the daemon each time that Tab is pressed.
    """
    from tokend.cli.commands import group

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  (click has these three)
    script = kind(group, {}, "tokend", "_TOKEND_COMPLETE")
    # source() would start bash to ask for its version.
    click.echo(script.source_template % script.source_vars(), nl=False)
