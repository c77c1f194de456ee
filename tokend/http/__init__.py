"""Outbound HTTP: one exchange at a time, with a deadline, a size cap and no redirects; and what replies mean."""
