"""Harmonisation of radiomics features between batches (ComBat), and how the batches go with the outcome."""
