"""Command line of tokend, the only place that prints. `commands` has the table of commands; each has a file here."""
