"""Sinks for results: files, a window, and the thread that keeps a slow sink from delaying the rest."""
