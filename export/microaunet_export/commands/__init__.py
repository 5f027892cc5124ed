"""The command lines of the export: one module per command."""
