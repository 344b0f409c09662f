"""Transport between the processes: rings, boards, counters and control words in shared memory."""
