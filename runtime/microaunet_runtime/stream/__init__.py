"""Streams: frames from a source through the network to sinks, live or from files."""
