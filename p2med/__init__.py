"""P2Med: from a hospital's folder to a drafted, scored report."""

__version__ = "0.1.0"
