"""The vendors that the sandbox plays, one file each."""
