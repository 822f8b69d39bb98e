"""A tokenizer of six tokens, made here, and archives of tables with it."""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors

VOCABULARY = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "b": 5}


def tokenizer(*, left: bool = False) -> bytes:
    """A `tokenizer.json`: [CLS] words [SEP], of pairs [CLS] words [SEP] words [SEP]."""
    made = Tokenizer(models.WordLevel(VOCABULARY, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    made.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    if left:
        made.enable_padding(direction="left", pad_id=0)
    return made.to_str().encode()


def archive(path: Path, members: Mapping[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
