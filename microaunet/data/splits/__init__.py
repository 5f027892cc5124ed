"""The committed lists (JSON), and the command that made them: ``python -m microaunet.data.splits DATA_ROOT``."""
