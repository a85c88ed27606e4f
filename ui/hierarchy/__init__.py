"""The page Hierarchy: levels, their layers, one text on its way down."""
