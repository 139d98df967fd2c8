"""Radiomics features with PyRadiomics' definitions on one set of filtered images a patient."""
