"""A `.pt2` written anew from what was read of another: the only kind that torch ever loads here."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Final

from worker.compression.upload_gate.convert.pt2.archive import (
    CONFIGS,
    MARKS,
    PROGRAM,
    SAMPLES,
    check_members,
    payload,
)
from worker.compression.upload_gate.convert.pt2.payloads import check_payloads
from worker.compression.upload_gate.convert.pt2.read import read_config, read_program
from worker.compression.upload_gate.convert.pt2.schema.program import ExportedProgram, PayloadConfig
from worker.compression.upload_gate.convert.pt2.schema.tensors import dumped
from worker.compression.upload_gate.convert.zipped import Zipped, opened, refuse_pickled

FOLDER: Final = "model"
CHUNK: Final = 2**20


def rebuild(path: Path, target: Path, *, max_bytes: int) -> None:
    """Write `target`, an archive with the same program and the same weights, and nothing else of `path`.

    Raises `Refusal`: `pickle_refused`, `invalid_model`, `unsafe_archive`.
    """
    with opened(path, max_bytes=max_bytes) as files:
        refuse_pickled(files)
        check_members(files)
        program = read_program(files)
        configs = {kind: read_config(files, kind) for kind in CONFIGS}
        check_payloads(files, configs, max_bytes=max_bytes)
        _write(target, program, configs, files)


def _write(target: Path, program: ExportedProgram, configs: dict[str, PayloadConfig], files: Zipped) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        _add(archive, PROGRAM, json.dumps(dumped(program)).encode())
        for kind, config in configs.items():
            _add(archive, CONFIGS[kind], json.dumps(dumped(config)).encode())
            for path_name in dict.fromkeys(meta.path_name for meta in config.config.values()):
                _copy(archive, payload(kind, path_name), files)
        for name, content in {SAMPLES: b"", ".data/version": b"6\n", **MARKS}.items():
            _add(archive, name, content)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(_member(name), content)


def _copy(archive: zipfile.ZipFile, name: str, files: Zipped) -> None:
    with archive.open(_member(name), "w", force_zip64=True) as member:
        shutil.copyfileobj(files.stream(name), member, CHUNK)


def _member(name: str) -> zipfile.ZipInfo:
    """Without the time of day, so that one program always gives one archive."""
    return zipfile.ZipInfo(f"{FOLDER}/{name}")
