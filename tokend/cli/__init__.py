"""The command line: the only place that prints. `commands` lists what there is; each is imported when called for."""
