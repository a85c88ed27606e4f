"""Classifiers as an HTTP service."""

from stc_core.installation.extras import require_extra

require_extra("serve")
