"""Records: everything that is known of a provider, its form on disk, and the store."""
