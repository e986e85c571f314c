#!/usr/bin/python3
# python.py - the system's python3 natively and under ocrun: threads, queues, subprocesses, signals, asyncio with 500 clients.
from common import Suite

suite = Suite("python3 programs natively and under ocrun")
PYTHON = "/usr/bin/python3"

THREADS = r"""
import queue, threading, time
N = 300
lock, total = threading.Lock(), 0
local = threading.local()
def count(i):
    global total
    local.mine = i
    for _ in range(20):
        with lock:
            seen = total
            if _ % 7 == 0: time.sleep(0)
            total = seen + 1
    time.sleep(0.01)
    assert local.mine == i
threads = [threading.Thread(target=count, args=(i,)) for i in range(N)]
[t.start() for t in threads]; [t.join() for t in threads]
print("total", total)

condition, arrived = threading.Condition(), 0
def meet():
    global arrived
    with condition:
        arrived += 1
        condition.notify_all()
        assert condition.wait_for(lambda: arrived == N, timeout=60)
threads = [threading.Thread(target=meet) for i in range(N)]
[t.start() for t in threads]; [t.join() for t in threads]
print("arrived", arrived)

work, done = queue.Queue(maxsize=10), queue.Queue()
def worker():
    while (item := work.get()) is not None:
        done.put(item * item)
        work.task_done()
threads = [threading.Thread(target=worker) for i in range(N)]
[t.start() for t in threads]
for i in range(3000): work.put(i)
work.join()
for t in threads: work.put(None)
[t.join() for t in threads]
print("squares", sum(done.get() for _ in range(done.qsize())))

barrier, events, sem = threading.Barrier(50), threading.Event(), threading.BoundedSemaphore(3)
inside = 0
def mixed():
    global inside
    barrier.wait()
    events.wait()
    with sem:
        inside += 1; assert inside <= 3; time.sleep(0.001); inside -= 1
threads = [threading.Thread(target=mixed) for i in range(50)]
[t.start() for t in threads]
time.sleep(0.05); events.set()
[t.join(30) for t in threads]
print("alive", threading.active_count())
begin = time.monotonic(); q = queue.Queue()
try: q.get(timeout=0.1)
except queue.Empty: print("empty after", time.monotonic() - begin >= 0.099)
timer = threading.Timer(0.05, lambda: print("timer")); timer.start(); timer.join()
print("acquire", lock.acquire(timeout=1), lock.acquire(timeout=0.05))
"""

SUBPROCESS = r"""
import concurrent.futures, multiprocessing, os, signal, subprocess, sys
print(subprocess.run(["echo", "one"], capture_output=True, text=True))
print(subprocess.run("exit 3", shell=True).returncode, subprocess.run(["sh", "-c", "kill -TERM $$"]).returncode)
p = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
print(len(p.communicate(b"x" * 1000000)[0]))
try: subprocess.run(["sleep", "10"], timeout=0.2)
except subprocess.TimeoutExpired: print("timeout")
try: subprocess.run(["/no/such/program"])
except FileNotFoundError as e: print("error", e.errno)
try: subprocess.run(["/etc/passwd"])
except PermissionError as e: print("error", e.errno)
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(list(pool.map(lambda i: subprocess.run(["sh", "-c", f"exit {i}"]).returncode, range(40))))
p = subprocess.Popen("seq 5 | tac", shell=True, stdout=subprocess.PIPE, preexec_fn=os.setsid, close_fds=True)
print(p.stdout.read(), p.wait())
print(subprocess.run([sys.executable, "-c", "import os; print(sorted(os.listdir('/proc/self/fd')))"], capture_output=True).stdout)
def square(x): return x * x
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(4) as pool: print(pool.map(square, range(20)))
    q = multiprocessing.Queue()
    children = [multiprocessing.Process(target=q.put, args=(i,)) for i in range(5)]
    [c.start() for c in children]
    print(sorted(q.get() for _ in children)); [c.join() for c in children]; print([c.exitcode for c in children])
    with multiprocessing.Manager() as m:
        d = m.dict(); c = multiprocessing.Process(target=d.update, args=({"a": 1},)); c.start(); c.join(); print(dict(d))
"""

SIGNALS = r"""
import faulthandler, os, select, signal, sys, threading, time
hits = []
signal.signal(signal.SIGALRM, lambda s, f: hits.append(s))
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
begin = time.monotonic(); time.sleep(0.4); print("slept", time.monotonic() - begin >= 0.4, len(hits) >= 4)
signal.setitimer(signal.ITIMER_REAL, 0)
def boom(s, f): raise KeyError(s)
signal.signal(signal.SIGUSR1, boom)
t = threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGUSR1)); t.start()
try: time.sleep(10)
except KeyError as e: print("raised", e)
while len(os.listdir("/proc/self/task")) > 1: time.sleep(0.01)  # join does not wait for the very end of the thread
r, w = os.pipe(); os.set_blocking(w, False); signal.set_wakeup_fd(w)
signal.signal(signal.SIGUSR2, lambda *a: None); os.kill(os.getpid(), signal.SIGUSR2)
print("wakeup", select.select([r], [], [], 5)[0] == [r], os.read(r, 1)); signal.set_wakeup_fd(-1)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); os.kill(os.getpid(), signal.SIGTERM)
print("pending", signal.sigpending(), signal.sigwaitinfo({signal.SIGTERM}).si_signo, signal.sigtimedwait({signal.SIGTERM}, 0.05))
try:
    threading.Timer(0.1, lambda: signal.raise_signal(signal.SIGINT)).start(); time.sleep(10)
except KeyboardInterrupt: print("interrupted")
pid = os.fork()
if pid == 0: faulthandler.disable(); import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); os.kill(os.getpid(), signal.SIGSEGV); time.sleep(5)
print(os.waitpid(pid, 0)[1] & 0x7f)
"""

ASYNCIO = r"""
import asyncio, sys
CLIENTS, ROUNDS = 500, 5
async def serve(reader, writer):
    while (line := await reader.readline()):
        writer.write(line.upper()); await writer.drain()
    writer.close()
async def client(port, i):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for r in range(ROUNDS):
        text = f"client {i} round {r} " + "x" * (i % 50) + "\n"
        writer.write(text.encode()); await writer.drain()
        assert (await reader.readline()).decode() == text.upper()
        await asyncio.sleep(0.001 * (i % 7))
    writer.close(); await writer.wait_closed()
    return ROUNDS
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    port = server.sockets[0].getsockname()[1]
    print("requests", sum(await asyncio.gather(*(client(port, i) for i in range(CLIENTS)))))
    server.close()
    p = await asyncio.create_subprocess_exec("sort", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    print((await p.communicate(b"b\na\n"))[0], p.returncode)
    try: await asyncio.wait_for(asyncio.sleep(10), 0.1)
    except asyncio.TimeoutError: print("timeout")
    loop = asyncio.get_running_loop()
    print(await asyncio.gather(*(loop.run_in_executor(None, lambda i=i: i * 2) for i in range(100))))
asyncio.run(main())
"""

SOCKETS = r"""
import http.client, http.server, socket, socketserver, ssl, threading, urllib.request, xmlrpc.client, xmlrpc.server
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(self.path.encode() * 1000)
    def log_message(self, *a): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H); server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
results = []
def get(i):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    results.append(len(opener.open(f"http://127.0.0.1:{server.server_port}/{i:03}", timeout=30).read()))
threads = [threading.Thread(target=get, args=(i,)) for i in range(60)]
[t.start() for t in threads]; [t.join() for t in threads]
print("http", len(results), set(results)); server.shutdown()
a, b = socket.socketpair(); a.settimeout(0.1)
try: a.recv(1)
except TimeoutError: print("timeout")
b.sendall(b"y" * 10); print(a.recv(100))
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); s.sendto(b"self", s.getsockname()); print(s.recvfrom(10)[0])
rpc = xmlrpc.server.SimpleXMLRPCServer(("127.0.0.1", 0), logRequests=False); rpc.register_function(pow)
threading.Thread(target=rpc.serve_forever, daemon=True).start()
print(xmlrpc.client.ServerProxy(f"http://127.0.0.1:{rpc.server_address[1]}").pow(2, 10)); rpc.shutdown()
"""


def program(text):
    return lambda directory: (directory / "program.py").write_text(text)


for title, text, expect in (("300 threads with locks, conditions, queues", THREADS, b"total 6000"),
                            ("subprocess and multiprocessing", SUBPROCESS, b"{'a': 1}"),
                            ("signals", SIGNALS, b"interrupted"),
                            ("an asyncio server with 500 clients in one process", ASYNCIO, b"requests 2500"),
                            ("servers and clients in threads", SOCKETS, b"http 60")):
    suite.compare(title, [PYTHON, "program.py"], prepare=program(text), timeout=120, expect=expect,
                  env={"PYTHONDONTWRITEBYTECODE": "1", "no_proxy": "*"})
suite.end()
