"""``python -m benchmarks.photographs --output FOLDER``: tars of JPEGs that take a decoder as long as photographs do.

Photographs have a spectrum of 1/f, edges and the noise of a sensor (Field 1987; Ruderman 1994); so have these, drawn
from a seed: 640 x 480, quality 90, colours at half the resolution, 100 to 150 KB each, as img2dataset writes such.
"""

import io
import tarfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image, ImageDraw

from pipeline.job import new_app, run
from pipeline.progress import say

WIDTH, HEIGHT, SLOPE = 640, 480, 1.2
CONTRAST, COLOUR, NOISE = 55, 18, 4  # standard deviations of brightness, of a channel's own part, of the sensor
DISTINCT = 256
app = new_app()


@app.command(help=__doc__)
def main(
    output: Annotated[Path, typer.Option(help="The folder of the tars.")],
    samples: Annotated[int, typer.Option(help="In all; 256 are distinct.")] = 4096,
    shards: Annotated[int, typer.Option(help="Tars.")] = 8,
) -> None:
    """Writes them."""
    write_photographs(output, samples, shards)
    say(f"{samples:,} photographs in {shards} tars: {output}")


def write_photographs(folder: Path, samples: int, shards: int) -> None:
    """Tars of photographs with texts."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as processes:
        found = list(processes.map(photograph, range(min(DISTINCT, samples))))
    for shard, numbers in enumerate(np.array_split(np.arange(samples), shards)):
        with tarfile.open(folder / f"{shard:05d}.tar", "w") as tar:
            for number in numbers:
                text = f"photograph {number}: circles before a cloudy sky, seen at some distance"
                for ending, content in (("jpg", found[number % len(found)]), ("txt", text.encode())):
                    member = tarfile.TarInfo(f"{number:08d}.{ending}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))


def photograph(seed: int) -> bytes:
    """A JPEG."""
    rng = np.random.default_rng(seed)
    bright = CONTRAST * _clouds(rng)
    values = 128 + np.stack([bright + COLOUR * _clouds(rng) for _ in range(3)], -1)
    image = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y, radius = (int(rng.integers(0, most)) for most in (WIDTH, HEIGHT, 120))
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour)
    # Half of what is behind a circle shows through it.
    values = (np.asarray(image) + values) / 2 + rng.normal(size=values.shape) * NOISE
    out = io.BytesIO()
    Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=90)
    return out.getvalue()


def _clouds(rng: np.random.Generator) -> np.ndarray:
    """A random field of a spectrum of 1/f, of mean 0 and deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None, :])
    frequency[0, 0] = np.inf
    phases = rng.normal(size=frequency.shape) + 1j * rng.normal(size=frequency.shape)
    field = np.fft.irfft2(phases / frequency**SLOPE, s=(HEIGHT, WIDTH))
    return field / field.std()


if __name__ == "__main__":
    run(app)
