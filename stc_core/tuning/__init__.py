"""The training of blocks of a backbone, which several recipes share."""
