"""The console, in process: pure functions as they are, pages through NiceGUI's simulated browser."""
