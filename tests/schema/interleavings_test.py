"""Sessions that meet at chosen points of the functions, each order for real.

The SQL has comments `--@point NAME`. Here they become waits for an advisory lock that is named after the point and the session's
application_name: so a test holds one session at a point, sees in pg_locks that it stands there, and lets others run meanwhile.
"""

import contextlib
import itertools
import os
import random
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from harness.postgres import create_database, drop_database, with_database
from harness.processes import until

from .claims import Claims, migrate, policy, token
