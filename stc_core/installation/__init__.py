"""What is on this machine: extras, samples, language models, and whether it can train.

Importing it is light, so that any package can ask for the extra that it needs.
"""
