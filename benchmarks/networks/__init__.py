"""Networks of the literature that MicroAUNet is compared with, each checked against its published size."""
