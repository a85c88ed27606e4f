"""Train: the settings, the plan, the progress, and the result beside its baselines."""

from ui import frame, guard
from ui.train.view import show_page

frame("Train", ":material/model_training:")
with guard():
    show_page()
