"""The views, one file each: `show(gateway, parameters)` loads what there is to see and draws it.

`gateway` is the client with the viewer's token, `parameters` are those of the address, of its path and of its query.
What a view raises of `flstore_core.errors` is drawn by the frame (`services.console.shell`).
"""

API_URL = "api_url"
"""The parameter that no address has: the gateway's address as users have it, for lines to copy."""
