"""Models whose structure is none that the table of names knows."""

from types import SimpleNamespace

from torch import nn


class OddBlock(nn.Module):
    """Its parts are listed in no order, and its state comes by keyword."""

    def __init__(self):
        super().__init__()
        self.squeeze = nn.Linear(20, 8)
        self.mixer = Mixer()
        self.widen = nn.Linear(8, 20)

    def forward(self, *, stream):
        stream = stream + self.mixer(stream)
        return stream + self.squeeze(self.widen(stream).tanh())


class OddModel(nn.Module):
    """Two blocks, of which the second runs twice; a head that must not run."""

    def __init__(self):
        super().__init__()
        self.config = SimpleNamespace(model_type="odd")
        self.words = nn.Embedding(16, 8)
        self.one, self.two = OddBlock(), OddBlock()
        self.head = nn.Linear(8, 100)

    def forward(self, input_ids, attention_mask):
        stream = self.words(input_ids)
        for block in (self.one, self.two, self.two):
            stream = block(stream=stream)
        return self.head(stream)


class Mixer(nn.Module):
    """Not attention by name: tokens are averaged."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(8, 8)

    def forward(self, x):
        return self.project(x.mean(1, keepdim=True).expand_as(x))
