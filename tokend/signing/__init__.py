"""Pure signatures: JWTs, hashes of requests, HMACs. Bytes in, text out; no clock, no network, no settings."""
