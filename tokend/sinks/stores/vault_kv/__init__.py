"""The KV engines of Vault and OpenBao, for the kind ``vault``."""
