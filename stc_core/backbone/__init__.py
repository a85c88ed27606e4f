"""One Hugging Face model: its sites, tokens, hooks, pooling, packing."""
