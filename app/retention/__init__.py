"""What is forgotten, and when: texts and rows by age, and everything of one person on demand.

    ageing.py   texts of ended jobs go after LLM_JOBS_KEEP_TEXTS_DAYS, whole rows after
                LLM_JOBS_KEEP_ROWS_DAYS; the dispatcher asks for it, and `llm-jobs prune`
    person.py   erases what a person has written and who they were; `llm-jobs users erase`

What things cost stays: statistics are sums of their own, and a user's used tokens a counter.
"""

from app.retention.ageing import Forgotten, Keeping, forget
from app.retention.person import Erasure, erase_person

__all__ = ["Erasure", "Forgotten", "Keeping", "erase_person", "forget"]
