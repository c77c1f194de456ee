"""On-demand providers: tokens that are issued per query."""
