"""Reports of victims and their cases; pursuit of the money while it is still moving; the analyst's workbench."""
