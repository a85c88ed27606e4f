"""Words beside the neurons of a classifier."""
