"""Run the workflow from any folder: lock the folder, find the leftovers of a killed run and check the machine."""
