"""Tasks of the engine: worker groups, the expiry watch, heartbeats."""
