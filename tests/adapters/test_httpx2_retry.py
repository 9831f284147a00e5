"""Tests of httpx2: see as_httpx2.py."""

from as_httpx2 import read

exec(read("test_httpx_retry"))
