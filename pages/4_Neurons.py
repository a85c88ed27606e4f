"""Neurons: a map of the kept neurons, and the details of one of them."""

from ui import frame, guard
from ui.neurons.view import show_page

frame(
    "Neurons",
    ":material/grain:",
    caption="The few neurons that the classifier reads, and what makes them active.",
)
with guard():
    show_page()
