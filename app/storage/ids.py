"""Identifiers: a prefix that tells the kind, then a ULID — they sort by time and cannot be guessed.

job_01jd6x3v0m8q4r7t9w2y5z1a3c
    └48 bit ms┘└── 80 bit random ─┘     Crockford's base 32, lower case (github.com/ulid/spec)
"""

import secrets
import time
from typing import Literal

Prefix = Literal["mdl", "dst", "inq", "job", "stu", "trl", "wrk", "aud", "whk", "dlv", "upl"]
Hashed = Literal["key", "ses"]

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(prefix: Prefix) -> str:
    return f"{prefix}_{_base32(time.time_ns() // 1_000_000, 10)}{_base32(secrets.randbits(80), 16)}"


def hashed_id(prefix: Hashed, sha256: str) -> str:
    """The id of what is found by a secret: the first 130 bits of the secret's hash."""
    return f"{prefix}_{_base32(int(sha256, 16) >> 126, 26)}"


def study_of(job: str) -> str:
    """The id of the study of a job that searches."""
    return f"stu_{job.removeprefix('job_')}"


def _base32(number: int, length: int) -> str:
    return "".join(_DIGITS[number >> shift & 31] for shift in range(5 * (length - 1), -1, -5))
