"""3D Swin Transformer and conventional backbones: training, resuming, deep features."""
