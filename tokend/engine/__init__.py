"""The engine keeps tokens fresh: it decides when to make an attempt, stores what is known, and publishes tokens.

It takes time only from `Clock`, and names neither a socket nor a vendor. Retries are in `held.refresher` (held tokens),
`on_demand.issuer` (on demand) and `publishing` (sinks), and nowhere else.
"""
