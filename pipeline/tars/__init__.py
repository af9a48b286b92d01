"""Images in webdataset tars: which tar holds the image of each pair, and how tars are written."""
