"""Images that are the same or nearly: by digests, and by perceptual hashes within a Hamming distance."""
