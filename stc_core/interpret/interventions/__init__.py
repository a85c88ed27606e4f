"""Neurons are changed inside the model, and the effect on the answers is measured."""
