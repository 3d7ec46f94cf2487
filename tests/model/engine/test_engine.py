"""Rows of several threads: who computes, and in which order threads have their turn."""

import threading
import time

from sadari.model.engine.engine import Turns
from sadari.model.engine.row import Row


def test_turns_are_had_in_the_order_of_asking_and_last_by_who_comes_back_at_once():
    turns, order = Turns(), []

    def take(name):
        with turns:
            order.append(name)

    with turns:
        threads = [threading.Thread(target=take, args=(name,), daemon=True) for name in range(8)]
        for i, thread in enumerate(threads):
            thread.start()
            while len(turns._asking) <= i:
                time.sleep(0.001)
    take("again")
    for thread in threads:
        thread.join(5)
    assert order == [0, 1, 2, 3, 4, 5, 6, 7, "again"]


def test_one_thread_may_have_its_turn_several_times_over():
    turns = Turns()
    with turns, turns:
        pass
    other = threading.Thread(target=turns.__enter__, daemon=True)
    other.start()
    other.join(5)
    assert turns._owner == other.ident


def test_a_reader_is_told_what_another_one_computed_and_computes_nothing(local_model):
    engine = local_model("llama").engine
    rows = [Row([5, 6, 7, i], limit=8) for i in (8, 9)]
    for row in rows:
        engine.submit(row)
    before = engine.counts().steps
    while not rows[0].is_done:
        first, _ = engine.advance(rows[0])
    steps = engine.counts().steps - before
    second, is_done = engine.advance(rows[1])

    assert engine.counts().steps - before == steps
    assert (len(first), len(second), is_done) == (8, 8, True)


def test_rows_of_many_threads_share_their_steps(local_model):
    engine = local_model("llama").engine
    rows = [Row([5, 6, 7, i], limit=20) for i in range(8, 24)]
    begun = threading.Barrier(len(rows))
    before = engine.counts().steps

    def read(row):
        engine.submit(row)
        begun.wait(10)
        while not engine.advance(row)[1]:
            pass

    threads = [threading.Thread(target=read, args=(row,), daemon=True) for row in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert all(row.is_done for row in rows)
    assert engine.counts().steps - before < 40  # one by one it would be 16 times 20
