"""What surrounds every page: frame, links, messages, run list, uploads."""
