"""Endpoints, one file for each subject. They translate: parse, make one call, shape the response.

Here belong what an endpoint takes and answers (`schemas`), the checks before it (`access`), how bodies come in
(`uploads`) and go out (`downloads`). Not here: anything that could be tested without HTTP.
"""
