"""Where in an unknown model its blocks and down-projections are."""
