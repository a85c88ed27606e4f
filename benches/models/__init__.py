"""Every family of models of transformers: is it read right?"""
