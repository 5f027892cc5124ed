"""Sources of frames: files, cameras, network streams, and a synthetic source."""
