"""Primary, nodes, their union and peritumoral rings on one resampled grid."""
