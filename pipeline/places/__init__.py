"""Where the image of each pair is: in a tar that was fetched, or in one that was there before."""
