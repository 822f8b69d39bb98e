"""Questions about a dataset and a model."""

from pathlib import Path
from typing import Any

from winnow.contract.inquiry import Preview, Proposal
from worker.child.spec import ANSWER_FILE, Propose, ShowPreview
from worker.compression.data.source import Source
from worker.compression.proposal import preview as previewing
from worker.compression.proposal import propose as proposing


def propose(task: Propose) -> dict[str, Any]:
    cap = task.max_unpacked_bytes
    proposal = proposing.propose(task.path, task.model, task.out_dir, max_unpacked_bytes=cap)
    return _answered(proposal, task.out_dir)


def preview(task: ShowPreview) -> dict[str, Any]:
    source, cap = Source(task.path, task.declaration), task.max_unpacked_bytes
    return _answered(
        previewing.preview(source, task.model, task.rows, task.out_dir, max_unpacked_bytes=cap), task.out_dir
    )


def _answered(content: Proposal | Preview, folder: Path) -> dict[str, Any]:
    (folder / ANSWER_FILE).write_text(content.model_dump_json())
    return {}  # pictures are larger than a message may be
