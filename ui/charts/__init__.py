"""A Plotly figure on a page, and what is clicked in it."""
