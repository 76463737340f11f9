"""``python -m dagrec_cli`` is ``dagrec``."""

from dagrec_cli.cli import main

if __name__ == "__main__":
    main()
