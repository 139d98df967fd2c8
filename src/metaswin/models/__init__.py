"""What is fitted: deep networks, fusion of modalities, hazard models."""
