"""The page Predict: labels for new texts, their reasons, and the words of a class."""
