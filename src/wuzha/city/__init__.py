"""A synthetic city with ground truth: people, their days, scams among them, and what watches over them.

Kept true here: the city knows nothing of detection, and nothing but behaviour tells its scams from its innocents.
"""

from .generator import CityError, generate

__all__ = ["CityError", "generate"]
