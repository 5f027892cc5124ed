"""Training data: committed lists of frames, a cache of decoded frames, augmentation of batches."""
