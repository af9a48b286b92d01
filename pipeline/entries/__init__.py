"""Entry lists, MetaCLIP's metadata: what texts are matched with."""
