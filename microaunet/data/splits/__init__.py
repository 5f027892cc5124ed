"""The committed lists (JSON); ``python -m microaunet.data.splits DATA_ROOT`` made them."""
