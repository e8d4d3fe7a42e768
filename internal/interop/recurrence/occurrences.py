"""Prints the occurrences of rules by python-dateutil.

Each line of the input is a JSON object with start, rule, until and most. Each line of the output is
a JSON list of dates: at most `most` occurrences, up to the date `until`.
"""

import datetime
import itertools
import json
import sys

from dateutil.rrule import rrulestr

for line in sys.stdin:
    case = json.loads(line)
    start = datetime.datetime.fromisoformat(case["start"])
    until = datetime.datetime.fromisoformat(case["until"])
    found = itertools.takewhile(lambda at: at < until, rrulestr(case["rule"], dtstart=start))
    print(json.dumps([at.date().isoformat() for at in itertools.islice(found, case["most"])]))
