"""What the networks learn from: committed lists of frames, a decoded cache, augmentation on batches."""
