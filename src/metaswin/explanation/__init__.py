"""What a prediction rests on: Shapley values of modalities and features, occlusion maps over the CT."""
