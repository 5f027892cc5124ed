"""``microaunet-run``: frames from any source through a bundle."""
