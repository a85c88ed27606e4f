"""From a text to its tokens, and from tokens back to places in the text."""
