"""A finished run as data frames and sentences."""
