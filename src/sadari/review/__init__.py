"""After a climb: does it pay, does it hold on the audit set, what still fails, and what did tuning do beside its task?"""

from sadari.review.chapters import chapters
from sadari.review.data import Audit, Reuse, Review, Tuning
from sadari.review.judge import Preferred, calibrate, preferred
from sadari.review.look import Climbed, review
from sadari.review.write import REVIEW, RUN, write_reports

__all__ = [
    "REVIEW",
    "RUN",
    "Audit",
    "Climbed",
    "Preferred",
    "Reuse",
    "Review",
    "Tuning",
    "calibrate",
    "chapters",
    "preferred",
    "review",
    "write_reports",
]
