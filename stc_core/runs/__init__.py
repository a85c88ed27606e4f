"""The run folder: its files, writer, queue, processes and trash."""
