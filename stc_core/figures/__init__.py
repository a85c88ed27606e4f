"""Data frames as Plotly figures and as HTML."""

from stc_core.installation.extras import require_extra

require_extra("report")
