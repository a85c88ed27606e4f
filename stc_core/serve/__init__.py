"""Classifiers as an HTTP service."""
