"""How faithful explanations are: what the answer loses without what they name."""
