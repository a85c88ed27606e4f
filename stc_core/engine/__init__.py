"""Work on many texts, shard by shard: in this process, in several, or on Ray."""
