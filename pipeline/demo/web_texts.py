"""The texts of a pool as the web is: names of what an image shows, and what stands beside images instead."""

import numpy as np

# Around the name of a concept that is shown by most images: what shops and stock pages write.
NEARLY_THE_SAME = (
    "{name}", "{name} icon", "{name} {number}", "{name} clip art", "{name} stock image", "free {name} download",
    "{name} picture", "{name} - image {number}", "{title} Sticker", "a {name}", "{title}", "{name} emoji symbol",
    "best {name} icons", "{name} vector illustration", "cute {name}", "{name} isolated on background",
)  # fmt: skip
BOILERPLATE = (
    "click to enlarge", "Click here for more", "image not available", "logo", "banner", "thumbnail", "Advertisement",
    "share on social media", "loading", "related products", "view larger image", "profile picture", "read more",
    "subscribe to our newsletter", "previous next", "home page", "add to cart", "main menu", "back to top", "photo",
)  # fmt: skip
FILES = ("IMG_{number:04d}.JPG", "DSC{number:05d}", "{number}x{number}.png", "untitled-{number}", "image{number}.jpg",
         "screenshot_{number:06d}.png", "photo-{number}-1-1024x768")  # fmt: skip
# The kinds of noise, and their shares.
KINDS = {"boilerplate": 0.35, "file_name": 0.25, "other_image": 0.2, "other_language": 0.2}


def text_of(rng: np.random.Generator, names: tuple[str, ...], number: int, near_identical: bool) -> str:
    """A text that names the concept: as it is, or, ``near_identical``, its first name with a few words around it."""
    if not near_identical:
        return names[rng.integers(len(names))]
    name = names[0]
    return NEARLY_THE_SAME[rng.integers(len(NEARLY_THE_SAME))].format(name=name, title=name.title(), number=number)


def noise_text(rng: np.random.Generator, number: int, other: str, foreign: tuple[str, ...]) -> tuple[str, str]:
    """A text that says nothing of the image in English, and its kind."""
    kind = list(KINDS)[rng.choice(len(KINDS), p=list(KINDS.values()))]
    if kind == "other_image" or (kind == "other_language" and not foreign):
        return other, "other_image"
    if kind == "other_language":
        return foreign[rng.integers(len(foreign))], kind
    texts = BOILERPLATE if kind == "boilerplate" else FILES
    return texts[rng.integers(len(texts))].format(number=int(rng.integers(1, 9999))), kind
