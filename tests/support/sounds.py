"""Sounds made here, as files."""

import io

import numpy as np
import soundfile


def sound(seconds: float, rate: int = 16_000, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Sines below 2 kHz, float64 [samples, channels], at most 0.9."""
    rng = np.random.default_rng(seed)
    at = np.arange(int(seconds * rate)) / rate
    tones = [np.sin(2 * np.pi * hertz * at) for hertz in rng.uniform(100, 2000, 3)]
    mono = np.mean(tones, axis=0) * 0.9
    return np.stack([mono * gain for gain in np.linspace(0.5, 1, channels)], axis=1)


def encoded(x: np.ndarray, rate: int = 16_000, format: str = "WAV", subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, x, rate, format=format, subtype=subtype)
    return buffer.getvalue()
