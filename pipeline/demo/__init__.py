"""The demo's pool: real images and names in 14 languages, made from two packages, without a download."""

FOLDER = "output/demo-pool"  # where the recipe looks for it
