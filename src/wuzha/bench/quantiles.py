"""Times as figures."""

from __future__ import annotations

import numpy as np


def quantiles(seconds: list[float]) -> dict[str, float]:
    """Median and 95th percentile, in milliseconds."""
    return {
        "p50_ms": round(float(np.quantile(seconds, 0.5)) * 1e3, 3),
        "p95_ms": round(float(np.quantile(seconds, 0.95)) * 1e3, 3),
    }
