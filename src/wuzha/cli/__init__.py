"""The command line: a thin face over the same functions that the API and the pages use."""
