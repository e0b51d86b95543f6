"""The case study's trainings as an app of Flower, run by its simulation. Runs in Flower's environment."""
