"""Loops that hammer the rings from both ends, and check every word that arrives."""

from __future__ import annotations

from core.jit import kernel
from core.records import CELL_WORDS
from shm.atomics import LINE_WORDS, load_acquire, store_release
from shm.broadcast import N_CELLS_SHIFT, N_CELLS_WORD, ring_park, ring_publish, ring_read, ring_tail
from shm.parking import now_mono_ns, park
from shm.seqlock import board_read, board_write
from shm.spsc import spsc_park, spsc_pop, spsc_push

FACTOR = 6_364_136_223_846_793_005
# control words of a stress run
DONE = 0
STARTED = LINE_WORDS
STOP = 2 * LINE_WORDS
IDLE = 3 * LINE_WORDS
# results of a reader
R_MESSAGES = 0
R_CELLS = 1
R_TORN = 2
R_DISORDER = 3
R_MISSING = 4
R_NEXT = 5
R_PARKS = 6
RESULT_WORDS = 16

SPIN = 300
NAP_NS = 1_000_000


@kernel
def length_of(number, longest):
    """Length of a message in cells, 1..longest, scattered."""
    return 1 + ((number * FACTOR) >> 33) % longest


@kernel
def fill(src, at, number, length):
    """A message whose every word follows from its number."""
    for i in range(length):
        for j in range(CELL_WORDS):
            src[at + i, j] = number * FACTOR + i * CELL_WORDS + j
    src[at, 0] = number
    src[at, N_CELLS_WORD] = length << N_CELLS_SHIFT


@kernel
def is_whole(cells, at, longest):
    """Does the message at `at` hold what its number says?"""
    number = cells[at, 0]
    length = cells[at, N_CELLS_WORD] >> N_CELLS_SHIFT
    if length != length_of(number, longest) or cells[at, N_CELLS_WORD] != length << N_CELLS_SHIFT:
        return False
    for i in range(length):
        for j in range(CELL_WORDS):
            if i == 0 and (j == 0 or j == N_CELLS_WORD):
                continue
            if cells[at + i, j] != number * FACTOR + i * CELL_WORDS + j:
                return False
    return True


@kernel
def write_ring(words, cells, bells, control, first, last, longest, batch, gated, src):
    """Publish messages first..last-1 in batches of up to `batch` messages; returns the next number."""
    number = first
    while number < last and load_acquire(control, STOP) == 0:
        at = 0
        count = 0
        while count < batch and number + count < last:
            length = length_of(number + count, longest)
            fill(src, at, number + count, length)
            at += length
            count += 1
        while ring_publish(words, cells, src, at, count, gated, bells) == 0:
            park(control, IDLE, 0, 20_000)
        number += count
        store_release(control, STARTED, number)
    return number


@kernel
def read_ring(words, cells, bells, slot, control, longest, slow, dst, result):
    """Read until the writer says DONE and the ring is empty. `slow` empty loads after each read let it fall behind."""
    empty = 0
    while True:
        done = load_acquire(control, DONE)
        n = ring_read(words, cells, slot, dst)
        if n < 0:
            result[R_TORN] += 1
            return
        if n == 0:
            if done != 0 and ring_tail(words) == words[4 * LINE_WORDS + slot * LINE_WORDS]:
                return
            empty += 1
            if empty > SPIN:
                ring_park(words, slot, bells, slot, NAP_NS)
                result[R_PARKS] += 1
                empty = 0
            continue
        empty = 0
        result[R_CELLS] += n
        at = 0
        while at < n:
            number = dst[at, 0]
            if not is_whole(dst, at, longest):
                result[R_TORN] += 1
                return
            if number < result[R_NEXT]:
                result[R_DISORDER] += 1
            else:
                result[R_MISSING] += number - result[R_NEXT]
            result[R_NEXT] = number + 1
            result[R_MESSAGES] += 1
            at += dst[at, N_CELLS_WORD] >> N_CELLS_SHIFT
        for _ in range(slow):
            load_acquire(control, IDLE)


@kernel
def write_queue(words, slots, bells, control, n_records, chunk, src):
    """Push records 0..n-1 in chunks of 1..chunk; a refused push waits a little and comes again."""
    number = 0
    while number < n_records:
        count = min(1 + ((number * FACTOR) >> 40) % chunk, n_records - number)
        for i in range(count):
            for j in range(src.shape[1]):
                src[i, j] = (number + i) * FACTOR + j
            src[i, 0] = number + i
        while spsc_push(words, slots, src, 0, count, bells) == 0:
            park(control, IDLE, 0, 20_000)
        number += count


@kernel
def read_queue(words, slots, bells, bell, n_records, dst, result):
    """Pop until all records are here."""
    empty = 0
    while result[R_MESSAGES] < n_records:
        n = spsc_pop(words, slots, dst, 0, dst.shape[0])
        if n == 0:
            empty += 1
            if empty > SPIN:
                spsc_park(words, bells, bell, NAP_NS)
                result[R_PARKS] += 1
                empty = 0
            continue
        empty = 0
        for i in range(n):
            number = dst[i, 0]
            if number != result[R_NEXT]:
                result[R_DISORDER] += 1
            for j in range(1, dst.shape[1]):
                if dst[i, j] != number * FACTOR + j:
                    result[R_TORN] += 1
            result[R_NEXT] = number + 1
        result[R_MESSAGES] += n


@kernel
def write_board(words, control, rows, n_writes, src):
    """Write rows in turn, every word of a record following from its number."""
    for number in range(n_writes):
        for j in range(src.shape[1]):
            src[0, j] = number * FACTOR + j
        src[0, 0] = number
        board_write(words, number % rows, src, 0)
    store_release(control, DONE, 1)


@kernel
def read_board(words, control, rows, dst, seen, result):
    """Read rows in turn until DONE; a record must be whole, its version even and neither may go backwards."""
    row = 0
    last = -1
    while last != 0:
        at = row % rows
        if last < 0 and load_acquire(control, DONE) != 0:
            last = rows  # one more pass over all
        elif last > 0:
            last -= 1
        version = board_read(words, at, dst, 0, 1_000_000_000)
        row += 1
        if version == 0:
            continue
        number = dst[0, 0]
        for j in range(1, dst.shape[1]):
            if dst[0, j] != number * FACTOR + j:
                result[R_TORN] += 1
                break
        if version != 2 * (number // rows + 1) or number % rows != at or number < seen[at]:
            result[R_DISORDER] += 1
        if number != seen[at]:
            result[R_MESSAGES] += 1
        seen[at] = number


@kernel
def sleep_ping(words_out, cells_out, bells_out, words_in, cells_in, bells_in, rounds, timeout_ns, starts, src, result):
    """Hand a message to and fro `rounds` times; both ends sleep whenever there is nothing. Counts waits over half the
    timeout: a lost wake-up would be one."""
    for number in range(rounds):
        if starts != 0:
            src[0, 0] = number
            ring_publish(words_out, cells_out, src, 1, 1, 0, bells_out)
        while True:
            n = ring_read(words_in, cells_in, 0, src)
            if n != 0:
                break
            before = now_mono_ns()
            ring_park(words_in, 0, bells_in, 0, timeout_ns)
            if now_mono_ns() - before > timeout_ns // 2:
                result[R_MISSING] += 1
        if src[0, 0] != number:
            result[R_DISORDER] += 1
        result[R_MESSAGES] += 1
        if starts == 0:
            ring_publish(words_out, cells_out, src, 1, 1, 0, bells_out)
