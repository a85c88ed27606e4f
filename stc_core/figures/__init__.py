"""Data frames as Plotly figures and as HTML."""
