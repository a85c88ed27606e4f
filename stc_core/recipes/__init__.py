"""How a run is made: from settings to a finished run folder."""
