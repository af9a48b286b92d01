"""``python -m benchmarks.minhash --texts FILE``: MinHash signatures beside datasketch and rensa, shingling included.

128 permutations over 5-character shingles of normalised texts. datasketch gets its permutations ready made, which is
faster than making them for each text; its signatures are checked to be equal to ours.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer
import xxhash
from datasketch import MinHash
from rensa import RMinHash

from benchmarks.compare import rates, read_texts, report
from pipeline.dedupe.shingles import normalise, shingles
from pipeline.dedupe.signatures import SEED, coefficients, signatures
from pipeline.job import new_app, run

PERMUTATIONS, SHINGLE = 128, 5
app = new_app()


@app.command(help=__doc__)
def main(
    texts: Annotated[Path, typer.Option(help="Texts, one a line (plain, gz, zst).")],
    name: Annotated[str, typer.Option(help="Of the JSON file.")] = "minhash",
    peers: Annotated[int, typer.Option(help="So many texts for the slower ones.")] = 5_000,
) -> None:
    """Measures and reports."""
    lines = [normalise(text) for text in read_texts(texts)]
    every, some = pa.array(lines), lines[:peers]
    made = MinHash(PERMUTATIONS, seed=SEED).permutations

    def by_datasketch(permutations=made) -> list[np.ndarray]:
        found = []
        for text in some:
            options = {"scheme": "affine32", "permutations": permutations} if permutations is not None else {}
            sketch = MinHash(PERMUTATIONS, seed=SEED, hashfunc=xxhash.xxh32_intdigest, **options)
            sketch.update_batch([shingle.encode() for shingle in shingles(text, SHINGLE)])
            found.append(sketch.hashvalues)
        return found

    def by_rensa() -> None:
        for text in some:
            sketch = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
            sketch.update(list(shingles(text, SHINGLE)))
            sketch.digest()

    ours = signatures(every[: len(some)], coefficients(PERMUTATIONS), SHINGLE).flatten().to_numpy()
    assert (ours == np.concatenate(by_datasketch())).all()
    measured = rates(
        {
            "ours": (len(every), lambda: signatures(every, coefficients(PERMUTATIONS), SHINGLE)),
            "datasketch": (len(some), lambda: by_datasketch(None)),
            "datasketch, permutations shared": (len(some), by_datasketch),
            "rensa": (len(some), by_rensa),
        }
    )
    characters = round(sum(map(len, lines)) / len(lines), 1)
    report(name, "signatures", measured, {"texts": len(lines), "characters a text": characters})


if __name__ == "__main__":
    run(app)
