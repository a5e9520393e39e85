"""Every benchmark, with its rivals on the same work in the same run. Figures are printed, never asserted."""
