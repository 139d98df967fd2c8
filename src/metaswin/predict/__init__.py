"""New patients, predicted by a bundle: the same stages, then every member of the ensemble."""
