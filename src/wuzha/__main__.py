"""``python -m wuzha`` is the same as ``wuzha``."""

from wuzha.cli.main import run

if __name__ == "__main__":
    run()
