"""Taking pairs, images, hosts or texts out of a finished output, at rest: what is concerned, and how it goes."""
