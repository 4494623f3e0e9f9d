"""Below what hides places (pooling over a ReLU, skips): a convolution's own gradient tells them apart again."""
