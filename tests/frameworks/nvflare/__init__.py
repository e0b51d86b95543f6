"""The case study's trainings as a job of NVFlare, run by its simulator. Runs in NVFlare's environment."""
