"""One bench per question; each prints a digest of what it computed and ratios against peers of the same run."""

from config.fingerprint import use_cache

use_cache()  # before numba is imported: `python -m bench.bench_step` finds the same kernels as `launch.py bench step`
