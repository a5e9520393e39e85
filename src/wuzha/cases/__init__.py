"""Reports, cases, suspects and directives, and the analyst's workbench."""
