"""``python -m steplens`` is the ``steplens`` command."""

from steplens.cli import main

if __name__ == "__main__":
    main()
