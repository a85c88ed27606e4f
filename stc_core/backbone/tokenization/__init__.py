"""From a text to its tokens, and from tokens to positions in the text."""
