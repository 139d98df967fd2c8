"""The patients used: exclusions, numbers of each endpoint, and their files among those of all planned patients."""
