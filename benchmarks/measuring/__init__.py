"""What the suites share: graphs, timing in turns, scenes, the sets that are reported on, where results go."""
