"""The card of an output: its README as a dataset card of the Hugging Face Hub, and ``croissant.json`` for programs."""
