"""Runs a management command of a site and tells what it cost. ``python -m benchmarks.sites.command NAME OPTIONS…``

Prints JSON: seconds and seconds of CPU without the start of Python and Django, bytes of memory at most.
"""

import json
import os
import re
import sys
import time
from pathlib import Path

import django
from django.core.management import call_command

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.sites.settings"
django.setup()

began, cpu = time.perf_counter(), time.process_time()
call_command(*sys.argv[1:])
spent = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}
found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
json.dump({**spent, "peak": int(found.group(1)) * 1024 if found else 0}, sys.stdout)
