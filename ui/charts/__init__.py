"""Plotly figures on a page, and the clicks in them."""
