"""The HTTP API for readers of tokens and for administrators: routes, JSON shapes, events, metrics.

`tokend.httpd` speaks HTTP, the engine refreshes, stores and retries.
"""
