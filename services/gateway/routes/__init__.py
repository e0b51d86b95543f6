"""Endpoints, one file for each subject. They translate: parse, make one call, shape the response.

What also belongs here: what an endpoint takes and answers (`schemas`), the checks before it (`access`), how bodies are
received (`uploads`) and sent (`downloads`). What can be tested without HTTP belongs elsewhere.
"""
