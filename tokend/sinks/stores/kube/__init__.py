"""The API of Kubernetes, for the kind ``kubernetes``."""
