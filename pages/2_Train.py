"""Train: settings and their plan, a worker's progress, the result and its baselines."""

from ui import frame, guard
from ui.train.view import show_page

frame("Train", ":material/model_training:")
with guard():
    show_page()
