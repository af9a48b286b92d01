"""Images from the web: fetched with img2dataset, every request guarded, every URL accounted for."""

import os

# img2dataset imports albumentations, which asks the network for a newer version of itself unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
