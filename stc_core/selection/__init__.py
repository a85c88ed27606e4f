"""From the probes of all sites to a few neurons and one head."""
