"""The live page: a run in a browser, with what an endoscopist needs and nothing else."""
