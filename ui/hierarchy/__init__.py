"""The page Hierarchy: the levels, their layers, and one text level by level."""
