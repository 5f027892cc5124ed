"""The live page: a run in a browser, with what a person at an endoscope needs and nothing else."""
