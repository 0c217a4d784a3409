"""Checks a url over and over with requests, each time over a fresh connection, in a pool of processes."""

import re
import sys
from multiprocessing import Pool

import requests

URL, ROOTS, CHECKS, AT_ONCE = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
PATTERN = re.compile("Welcome")


def check(_):
    answer = requests.get(URL, verify=ROOTS, timeout=5)
    assert answer.status_code == 200 and PATTERN.search(answer.text), answer


if __name__ == "__main__":
    with Pool(AT_ONCE) as pool:
        pool.map(check, range(CHECKS))
        pool.close()
        pool.join()
