"""How the documentation's diagrams, tables and plots are made; conf.py calls all of it."""
