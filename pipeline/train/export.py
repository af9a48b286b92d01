"""The export: a ``save_pretrained`` folder that ``AutoModel``, ``AutoTokenizer`` and ``AutoProcessor`` load."""

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import AlignProcessor, CLIPProcessor

from pipeline.errors import UsageError
from pipeline.train.models import Towers, build_processor

PROCESSORS = {"clip": CLIPProcessor, "metaclip2": CLIPProcessor, "align": AlignProcessor}


def export(towers: Towers, tokenizer, kind: str, image_size: int, facts: dict[str, Any], folder: Path) -> None:
    """Writes model, tokenizer, processor and ``training.json`` into ``folder``, in place of what is there."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    towers.model.save_pretrained(part)
    image_processor = build_processor(kind, image_size)
    PROCESSORS[kind](image_processor, tokenizer).save_pretrained(part)
    tokenizer.save_pretrained(part)
    image_processor.save_pretrained(part)
    bias = None if towers.bias is None else float(towers.bias.detach())
    (part / "training.json").write_text(json.dumps({"logit_bias": bias} | facts, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def given_bias(folder: str, option: str = "--init-from") -> float | None:
    """The bias of the logits that an exported model was trained with by SigLIP's loss."""
    file = Path(folder) / "training.json"
    try:
        return json.loads(file.read_bytes()).get("logit_bias") if file.is_file() else None
    except (ValueError, AttributeError):
        raise UsageError(f"{option} {folder}: training.json is not JSON") from None
