"""mediahound-auth beside a static header and beside its peers: `python -m benchmarks`.

Everything is measured in one run on one machine, the arms in turn, and told as ratios or as counts
of requests. Each case is one module, and each of its functions returns one `table.Table`.
"""
