"""Which numbers describe each patient: radiomics, anatomy, stability, harmonisation, selection, fit tables."""
