"""The documentation's own code: its settings, its generated pages, its pictures."""
