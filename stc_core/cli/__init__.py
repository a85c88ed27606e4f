"""The command `stc`."""
