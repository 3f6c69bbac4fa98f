"""The pages: what people see of jobs, and nothing that decides what a job means (that is `app`).

site.py         puts the pages into the application     pages.py      the list of pages
visit.py        one checked request for a page          sign_in.py    cookies of sign-ins
csrf.py         that a form is one of ours              render.py     templates, headers, filters
problems.py     refusals as pages                       assets.py     scripts and styles
listing.py      the address of the outputs list         api_calls.py  a page's API calls as text
views/          the pages themselves                    templates/    their HTML

The API never looks at cookies and the pages never at keys: a page calls `app` as the API does.
"""
