"""Parts of kinds that a configuration declares: expressions, places in answers, placeholders, requests, error rows."""
