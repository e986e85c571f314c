# pools.py - multiprocessing by fork and spawn, concurrent.futures with threads and processes; prints results only
import concurrent.futures, multiprocessing, os, queue, threading, time


def square(n):
    return n * n


def put(out, n):
    for i in range(n):
        out.put(i)
    out.close()


def add(counter, n):
    for _ in range(n):
        with counter.get_lock():
            counter.value += 1


def fails(n):
    raise ValueError(f"no {n}")


def main():
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        with context.Pool(4) as pool:
            print(method, "map", sum(pool.map(square, range(2000), chunksize=7)))
            print(method, "imap", sum(pool.imap_unordered(square, range(200))))
            print(method, "apply", pool.apply_async(square, (12,)).get(60))
            try:
                pool.apply(fails, (3,))
            except ValueError as e:
                print(method, "raises", e)
        out = context.Queue()
        writers = [context.Process(target=put, args=(out, 100)) for _ in range(4)]
        for w in writers:
            w.start()
        print(method, "queue", sum(out.get(timeout=60) for _ in range(400)))
        counter = context.Value("i", 0)
        adders = [context.Process(target=add, args=(counter, 200)) for _ in range(4)]
        for a in adders:
            a.start()
        for p in writers + adders:
            p.join()
        print(method, "value", counter.value, [p.exitcode for p in writers + adders])
        near, far = context.Pipe()
        p = context.Process(target=far.send, args=(os.getpid(),))
        p.start()
        print(method, "pipe", near.recv() == os.getpid())
        p.join()
    with concurrent.futures.ThreadPoolExecutor(50) as threads:
        print("threads", sum(threads.map(square, range(3000))))
        late = threads.submit(time.sleep, 0.3)
        done, pending = concurrent.futures.wait([late], timeout=0.01)
        print("wait", len(done), len(pending))
    with concurrent.futures.ProcessPoolExecutor(3) as processes:
        print("processes", sum(processes.map(square, range(500), chunksize=5)))
        print("exception", repr(processes.submit(fails, 1).exception(60)))
    meeting = threading.Barrier(20)
    seen = queue.Queue()
    group = [threading.Thread(target=lambda: seen.put(meeting.wait(60))) for _ in range(20)]
    for t in group:
        t.start()
    for t in group:
        t.join()
    print("barrier", sorted(seen.queue) == list(range(20)))


if __name__ == "__main__":
    main()
