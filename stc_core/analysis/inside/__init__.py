"""What is measured inside the model of a finished run, kept in the run's folder."""
