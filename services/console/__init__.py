"""The console: what a training did, who is alike or suspect, what is in memory and what it costs, in a browser.

Here: `app` puts pages, sessions and NiceGUI together; `pages` lists the views and their addresses; `shell` is the frame
that every view is drawn in, and what is shown where a view cannot be; `session` keeps viewers' tokens; `views` holds a
file for each view, `parts` what several of them draw with.

A view has two halves. Its first loads what it shows, as plain values, through the client of the HTTP API; its second
draws them. Whatever is computed for a picture is a pure function of loaded values, and is tested without a browser.

Not here: anything that knows how another service is built. The console is a client of the gateway, with the token of
whoever looks, and sees what any other client would. Texts from outside (names, metrics, messages) are drawn as text and
never as markup.
"""
