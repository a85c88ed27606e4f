"""Checks of what is claimed, by arithmetic of their own."""
