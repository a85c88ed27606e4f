"""What pages read from run folders, kept while the files stay the same."""
