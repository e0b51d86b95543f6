"""What records trainings: the recorder over a real gateway whose door can be shut, and the frameworks themselves."""
