"""The recipe `attention`: learned weights over the tokens of every layer."""
