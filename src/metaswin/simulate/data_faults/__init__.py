"""Small patients with one thing wrong each: what hospital data hold, and what the workflow must say of it."""
