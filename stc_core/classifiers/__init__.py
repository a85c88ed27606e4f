"""What predicts, explains, is saved and is opened again."""
