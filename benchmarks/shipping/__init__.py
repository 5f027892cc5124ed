"""Commands that write into the package: figures and operating points in the cards of the shipped weights."""
