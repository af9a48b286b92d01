"""Entry lists, MetaCLIP's metadata: the texts that captions are matched against."""
