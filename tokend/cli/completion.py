"""``tokend completion``: what a shell needs to complete commands, options and, asked from the daemon, tokens."""

import click
from click.shell_completion import get_completion_class

SHELLS = {
    "bash": 'eval "$(tokend completion bash)"            in ~/.bashrc',
    "zsh": 'eval "$(tokend completion zsh)"             in ~/.zshrc, after compinit',
    "fish": "tokend completion fish | source             in ~/.config/fish/config.fish",
}


@click.command(epilog="\b\n" + "\n".join(SHELLS.values()))
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(shell: str) -> None:
    """Print what makes SHELL complete tokend's commands, options and tokens.

    The tokens' names come from the daemon whenever Tab is pressed. To switch it on, one line:
    """
    from tokend.cli.commands import group

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  (click knows these three)
    words = kind(group, {}, "tokend", "_TOKEND_COMPLETE")
    # Not source(): for bash that starts the shell to ask for its version.
    click.echo(words.source_template % words.source_vars(), nl=False)
