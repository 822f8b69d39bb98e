"""What people call the model and the job; nothing is decided by them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Names:
    """Empty where it has none."""

    model: str = ""
    job: str = ""
