"""The web page: what the API tells, for people. Templates of Jinja and small scripts; nothing is built or fetched.

    GET /, /models, /datasets, /jobs, /compare, /workers, /steps, …    pages, rendered from what the JSON routes answer
    POST /models, /datasets, /models/{id}/compress                  what a form sends without scripts
    GET /assets/{version}/{name}                                    style sheet, scripts, icon

A page reads through the functions of `app.api`, so it shows an owner what these do; what changes something, its scripts
send to `/v1`. Who does not ask for HTML gets problems as before.
"""

from app.pages import assets, compare, compress, datasets, home, jobs, models, plain_forms, steps

routers = [
    part.router for part in (assets, home, models, compress, datasets, jobs, compare, steps, plain_forms)
]
