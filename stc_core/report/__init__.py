"""A run as one HTML file."""

from stc_core.installation.extras import require_extra

require_extra("report")
