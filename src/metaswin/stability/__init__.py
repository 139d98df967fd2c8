"""Stability of radiomics features: how much they change when the tumour is drawn a little differently."""
