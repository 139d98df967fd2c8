"""Run the workflow from any folder: who owns it, what a killed run left, whether this machine can run it."""
