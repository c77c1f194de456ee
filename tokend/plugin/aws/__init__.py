"""Parts that all kinds for AWS share: keys of a table, credentials, signed calls, and the meaning of error codes."""
