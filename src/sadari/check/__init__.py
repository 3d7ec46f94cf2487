"""Before the climb: is the data fit to learn from and to judge with, is tuning the right tool, and what will each rung cost?"""

from sadari.check.checkup import CheckOptions, Checkup, check_task
from sadari.check.remark import Remark

__all__ = ["CheckOptions", "Checkup", "Remark", "check_task"]
