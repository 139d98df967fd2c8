"""Organ and tissue masks behind one interface."""
