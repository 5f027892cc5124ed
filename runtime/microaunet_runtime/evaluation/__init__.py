"""Evaluation: data sets, the metrics of the field, and the score of a network on a data set."""
