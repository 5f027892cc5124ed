"""This machine: what it has, what it lacks, and how much power it draws."""
