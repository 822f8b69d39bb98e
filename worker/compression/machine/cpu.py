"""Read what this machine's processor says of itself in /proc/cpuinfo."""

from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def cpu_facts() -> dict[str, str]:
    """Read the first processor's lines; nothing where there is no such file."""
    if not CPUINFO.exists():
        return {}
    lines = CPUINFO.read_text().split("\n\n")[0].splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def cpu_flags() -> frozenset[str]:
    """Return its instruction sets: `flags` on x86, `Features` on Arm."""
    facts = cpu_facts()
    return frozenset((facts.get("flags") or facts.get("Features") or "").split())
