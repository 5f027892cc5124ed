"""Where frames come from: files, cameras, network streams, and a synthetic source."""
