"""How good the models are, compared with what, and what their predictions rest on."""
