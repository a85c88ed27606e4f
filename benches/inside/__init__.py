"""What neurons do inside the model, and whether explanations are faithful."""
