"""The pages: what people see of jobs, and nothing that decides what a job means (that is `app`).

The frame
    site.py         puts the pages into the application
    pages.py        the list of pages             visit.py        one checked request for a page
    sign_in.py      cookies of sign-ins           csrf.py         that a form is one of ours
    render.py       templates, headers, filters   words.py        facts in words
    problems.py     refusals as pages             assets.py       scripts and styles
    navigation.py   what stands at the side       notices.py      what stands at the top
    addresses.py    where a form goes on          api_calls.py    a page's facts by curl and Python
The pages
    views/          one module a room             templates/      their HTML, a folder a room
    submission/     the form for a new job        listing.py      the address of the outputs list
What pages draw and read, in functions that ask nobody
    timeline.py     the story of a job            prompt_parts.py what variables were put in
    json_tree.py    a value that folds            answer_frame.py an answer in a frame of its own
    comparison.py   two outputs side by side      drafts.py       a form read as changes of a parent
    masks.py        secrets, blanked and back     reasons.py      words behind a thumb
    plots.py, sparkline.py                        numbers as drawings

The API never looks at cookies and the pages never at keys: a page calls `app` as the API does.
"""
