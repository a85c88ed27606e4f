"""The page Examples: texts, and why each got its label."""
